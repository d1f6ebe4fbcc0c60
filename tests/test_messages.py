"""Every message has a test that provokes it."""

import messages


def test_every_message_is_on_the_list() -> None:
    how = "; see tests/messages.py"
    there, listed = set(messages.sites()), set(messages.known())
    assert not there - listed, f"messages that the list does not have{how}"
    assert not listed - there, f"messages that are no longer in the sources{how}"


def test_the_tests_that_the_list_names_are_there() -> None:
    named = set(messages.known().values()) - {messages.UNPROVOKED}
    assert [test for test in sorted(named) if not messages.has_test(test)] == []


def test_no_message_is_without_a_test() -> None:
    tests = messages.known().items()
    assert [site for site, test in tests if test == messages.UNPROVOKED] == []
