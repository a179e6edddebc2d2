from pathlib import Path

from edgecap.settings.reference import TARGET, settings_page


def test_the_page_of_settings_is_in_step():
    """`python -m edgecap.settings.reference` was run after the last change of a setting."""
    assert (Path(__file__).parents[3] / TARGET).read_text() == settings_page()
