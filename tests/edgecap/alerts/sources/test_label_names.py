"""Which labels name the target: well-known names, names of one's own, and hosts last."""

import pytest

from edgecap.alerts.sources import label_names
from edgecap.alerts.sources.registry import sources
from edgecap.settings.alerts import AlertSettings


def read(labels, **more):
    notes = []
    found = label_names.traffic(labels, notes, **more)
    return found["targets"], found["local_targets"], found["target_port"], notes


@pytest.mark.parametrize(
    "name",
    [*label_names.TARGETS, "VictimIP", "victim-ip", "Victim IP", "dstAddr", "DST_IP", "targetIp"],
)
def test_a_well_known_name_holds_the_target_however_it_is_written(name):
    assert read({name: "203.0.113.10", "instance": "10.0.0.5:9100"}) == (("203.0.113.10",), (), None, [])


@pytest.mark.parametrize("name", label_names.TARGETS)
def test_the_target_is_looked_for_before_the_host(name):
    assert read({"instance": "198.51.100.1:9100", "ip": "198.51.100.2", name: "203.0.113.10"})[0] == (
        "203.0.113.10",
    )


def test_instance_is_the_last_of_all():
    assert label_names.HOSTS[-1] == "instance"
    assert read({"instance": "198.51.100.1:9100", "host_ip": "203.0.113.10"})[0] == ("203.0.113.10",)
    assert read({"instance": "203.0.113.10:443"}) == (("203.0.113.10",), (), 443, [])


@pytest.mark.parametrize("port", [9090, 9100, 9115, 9999])
def test_the_port_of_an_exporter_is_not_under_attack(port):
    assert read({"instance": f"203.0.113.10:{port}"}) == (("203.0.113.10",), (), None, [])
    assert read({"target": f"203.0.113.10:{port}"})[2] == port


def test_a_probe_s_url_names_its_host():
    assert read({"instance": "https://203.0.113.10:8443/health"})[::2] == (("203.0.113.10",), 8443)


def test_more_targets_than_a_filter_can_name_are_the_networks_around_them():
    many = [f"203.{number // 256}.{number % 256}.1" for number in range(1200)]
    targets, _, _, notes = read({"target": many})
    assert targets == ("203.0.0.0/13",)
    assert notes == ["target names 1,200 addresses; they are taken together as 1 network"]
    assert len(read({"target": many[:900]})[0]) == 900


def test_a_list_that_is_too_long_says_so():
    notes = read({"target": ["203.0.113.7"] * 5001})[3]
    assert notes == ["target has 5,001 items; the first 5,000 are read"]


@pytest.mark.parametrize(
    ("target", "port"),
    [
        ({"ip": "203.0.113.7", "port": 53}, 53),
        ({"address": "203.0.113.7"}, None),
        ([{"cidr": "203.0.113.7/32", "port": "53"}], 53),
        ([{"ip": "203.0.113.7", "name": "web"}, {"ip": "203.0.113.7"}], None),
    ],
)
def test_a_target_may_be_an_object_with_its_address(target, port):
    assert read({"target": target}) == (("203.0.113.7",), (), port, [])


@pytest.mark.parametrize("name", label_names.HOSTS)
@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5:9100",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.9",
        "127.0.0.1:9090",
        "169.254.169.254",
        "224.0.0.251",
        "255.255.255.255",
        "[::1]:9100",
        "fe80::1",
        "fd00::5",
        "ff02::1",
    ],
)
def test_a_local_address_of_a_host_is_no_target(name, address):
    targets, local, port, notes = read({name: address})
    assert (targets, port, notes) == ((), None, [])
    assert len(local) == 1


def test_a_local_address_under_a_target_s_name_is_a_target():
    assert read({"target_ip": "10.0.0.5"})[0] == ("10.0.0.5",)


def test_a_host_s_name_is_no_mistake():
    assert read({"instance": "web-1:9100", "host": "web-1", "target": "web-1"}) == ((), (), None, [])
    assert read({"victim_ip": "web-1"})[3] == ["victim_ip 'web-1' is not a valid IP address; ignored"]


def test_names_of_one_s_own_come_first():
    labels = {"target_ip": "203.0.113.10", "Attacked Host": "203.0.113.11"}
    assert read(labels, own_names=["attacked_host"])[0] == ("203.0.113.11",)
    assert read({"target_ip": "203.0.113.10"}, own_names=["attacked_host"])[0] == ("203.0.113.10",)


@pytest.mark.parametrize("name", ["alertmanager", "grafana", "datadog", "generic", "mine"])
def test_every_source_with_labels_knows_the_names_of_the_settings(name, received):
    alerts = AlertSettings.model_validate(
        {"target_labels": ["attacked_host"], "custom": {"mine": {"open": True}}}
    )
    labels = {"attacked_host": "203.0.113.11"}
    body = {"title": "x", "tags": ["attacked_host:203.0.113.11"], "alerts": [{"labels": labels}]}
    (alert,) = sources(alerts)[name].parse(body, received=received)
    assert alert.targets == ("203.0.113.11",)
