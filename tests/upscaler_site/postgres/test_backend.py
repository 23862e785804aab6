"""No wait for the database is longer than its deadline, and who gives up leaves nothing behind."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection, transaction
from pytest_django.fixtures import Settings

from jobs import deadlines
from tests.eventually import eventually
from tests.together import together
from upscaler_site.postgres import backend
from upscaler_site.postgres.backend import base
from upscaler_site.postgres.url import database_from

#: Far longer than any bound in here: a test that waits for this has failed by pytest's own limit.
LONG = 3600

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_connection() -> Iterator[None]:
    yield
    connection.close()


def sleep(seconds: float = LONG) -> None:
    """Ask something that the server takes so long to answer: as silent as a frozen one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def answers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


def test_a_statement_that_is_not_answered_in_time_fails_and_the_next_one_works(settings: Settings) -> None:
    settings.DATABASE_TIMEOUT_SECONDS = 0.5
    with pytest.raises(OperationalError, match=r"no answer within 0\.5 s"):
        sleep()
    connection.close_if_unusable_or_obsolete()
    settings.DATABASE_TIMEOUT_SECONDS = 60
    assert answers()


def test_a_transaction_that_is_given_up_is_rolled_back(settings: Settings) -> None:
    from modelstore.models import Model

    @transaction.atomic
    def delete_and_wait() -> None:
        Model.objects.all().delete()
        settings.DATABASE_TIMEOUT_SECONDS = 0.5
        sleep()

    before = Model.objects.count()
    with pytest.raises(OperationalError):
        delete_and_wait()
    settings.DATABASE_TIMEOUT_SECONDS = 60
    connection.close()
    assert Model.objects.count() == before > 0


def test_a_block_has_one_deadline_for_all_that_it_asks() -> None:
    def ask_again_and_again() -> None:
        while True:
            sleep(0.3)

    begun = time.monotonic()
    with deadlines.within(1.0), pytest.raises(OperationalError):
        ask_again_and_again()
    assert time.monotonic() - begun >= 1.0
    connection.close()
    assert answers()


def test_a_slow_statement_that_is_given_up_is_stopped_and_lets_go_of_its_locks(settings: Settings) -> None:
    from modelstore.models import Model

    @transaction.atomic
    def lock_and_wait() -> None:
        Model.objects.select_for_update().first()
        sleep()

    settings.DATABASE_TIMEOUT_SECONDS = 0.5
    with pytest.raises(OperationalError):
        lock_and_wait()
    settings.DATABASE_TIMEOUT_SECONDS = 60
    connection.close()
    with transaction.atomic():
        assert Model.objects.select_for_update().first()


def test_an_inner_block_cannot_lengthen_the_outer_one() -> None:
    with deadlines.within(0.5), deadlines.within(LONG), pytest.raises(OperationalError):
        sleep()


def test_after_the_deadline_nothing_is_asked_any_more() -> None:
    with deadlines.within(0.0):
        with pytest.raises(OperationalError, match="no answer in the time that was left"):
            answers()
        connection.close()
        with pytest.raises(OperationalError, match="no answer in the time that was left"):
            answers()


def test_an_answer_that_goes_on_arriving_is_not_cut(settings: Settings) -> None:
    settings.DATABASE_TIMEOUT_SECONDS = 0.5
    with connection.cursor() as cursor:
        cursor.execute("SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) AS n")
        assert len(cursor.fetchall()) == 100_000


def test_a_change_of_tables_has_no_limit(settings: Settings) -> None:
    settings.DATABASE_TIMEOUT_SECONDS = 0.3
    with connection.schema_editor() as editor:
        editor.execute("SELECT pg_sleep(1)")
    with pytest.raises(OperationalError):
        sleep()


def test_a_server_that_takes_connections_and_says_nothing_is_left_in_time(settings: Settings) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        made = connection.copy()
        made.settings_dict = made.settings_dict | database_from(
            f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing?connect_timeout=2&sslmode=disable"
        )
        with pytest.raises(OperationalError, match="timeout expired"):
            made.ensure_connection()


def test_threads_that_wait_for_a_silent_server_are_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are refused at once: their bound would be far longer than this test's patience."""
    monkeypatch.setattr(base, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(base, "MOST_SILENT", 3)
    settings.DATABASE_TIMEOUT_SECONDS = 60
    stop = threading.Event()

    def wait(number: int) -> str:
        if number < 3:
            while not stop.is_set():
                sleep(1)
            return "waited"
        try:
            eventually(lambda: len(base._silent) >= 3, seconds=30)
            settings.DATABASE_TIMEOUT_SECONDS = LONG
            with pytest.raises(OperationalError, match="3 threads wait for an answer already"):
                sleep()
            return "refused"
        finally:
            stop.set()

    assert together(4, wait) == ["waited"] * 3 + ["refused"]
    assert not base._silent
    assert answers()


def test_the_operators_parameters_go_before_ours() -> None:
    options = database_from("postgresql://u@h/n?connect_timeout=30&tcp_user_timeout=1000")["OPTIONS"]
    assert (options["connect_timeout"], options["tcp_user_timeout"], options["keepalives_idle"]) == ("30", "1000", "10")
    assert database_from("postgresql://u@h/n")["ENGINE"] == backend.__name__
