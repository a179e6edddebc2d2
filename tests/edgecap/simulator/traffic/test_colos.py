from collections import Counter

import pytest

from edgecap.simulator.traffic import colos


def test_a_city_has_the_servers_of_all_its_data_centres():
    parts = [colos.servers(name) for name in ("ord01", "ord02", "ord03")]
    assert colos.servers("ORD") == [server for part in parts for server in part]
    assert all(parts)


@pytest.mark.parametrize("name", ["ORD", "ord", "Ord", "ord02", "ORD02"])
def test_names_are_case_blind(name):
    assert "ord02-s1" in colos.servers(name)


@pytest.mark.parametrize("name", ["", "or", "ORD9", "ord0", "ord04", "XYZ", "ord02-s1", "O"])
def test_an_unknown_place_has_no_servers(name):
    assert colos.servers(name) == []


def test_every_data_centre_has_two_to_four_servers_of_its_own():
    counted = Counter(server.split("-")[0] for server in colos.ALL_SERVERS)
    assert set(counted) == set(colos.DATA_CENTRES)
    assert set(counted.values()) <= {2, 3, 4}
    assert len(set(colos.ALL_SERVERS)) == len(colos.ALL_SERVERS) == len(colos.servers(None))


def test_thirty_cities_have_a_name_and_a_country():
    assert len(colos.CITIES) == len(set(colos.CITIES)) == 30
    assert set(colos.CITIES) == {colos.city(server) for server in colos.ALL_SERVERS}
    assert all(name and len(country) == 2 for name, country in colos.PLACES.values())


def test_the_cities_people_will_try_exist():
    assert {"ORD", "AMS", "FRA", "LHR", "SIN", "NRT", "IAD", "SJC", "GRU", "SYD"} <= set(colos.CITIES)
    assert colos.city("ord02-s3") == "ORD"
