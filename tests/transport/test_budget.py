"""One budget in one process: slots, pauses, and what may become of its file."""

from __future__ import annotations

import os
import stat
import threading
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import pytest

from htxdata.config import HOSTS
from htxdata.errors import ConfigError, LakeUnusable
from htxdata.protocol import pacing
from htxdata.protocol.pacing import SECOND_NS
from htxdata.transport import stampfile
from htxdata.transport.budget import Budget, GaveUpWaiting
from tests.clocks import Watch, Wound
from tests.transport.conftest import FakeTime
from tests.waits import until

MakeBudget = Callable[..., Budget]


@pytest.fixture
def make(tmp_path: Path, fake: FakeTime) -> MakeBudget:
    def make(rate: float = 10, key: str = "api.example.com") -> Budget:
        return Budget(key, rate, tmp_path / "budget", clock=fake.clock, sleep=fake.sleep)

    return make


def seconds_for(budget: Budget, sends: int) -> float:
    began = budget.clock()
    for _ in range(sends):
        budget.acquire()
    return (budget.clock() - began) / 1e9


def test_the_first_request_goes_at_once_and_the_budget_is_used(make: MakeBudget) -> None:
    budget = make(10)
    assert seconds_for(budget, 1) == 0
    assert 10.0 <= seconds_for(budget, 100) <= 100 / 9.5


def test_budgets_of_one_key_are_one(make: MakeBudget) -> None:
    one, other, stranger = make(10), make(10), make(10, key="elsewhere")
    for _ in range(50):
        one.acquire()
        other.acquire()
    assert one.clock() - 10**15 >= 9.8e9
    assert stranger.acquire().stamp == one.clock()
    assert one.state().given == other.state().given == 100


def test_who_asks_a_host_and_who_listens_to_it_share_its_budget() -> None:
    """Law 8: one for each host, whatever the scheme; two hosts of one exchange have two, and so has a pool."""

    def key(host: str, pool: str = "") -> str:
        return Budget.at(HOSTS[host] or "", 8, pool).key

    assert key("htx_spot_rest") == key("htx_spot_ws") == "api.huobi.pro"
    assert key("htx_swap_rest") == key("htx_swap_ws") == Budget.at("https://api.hbdm.com/", 1).key
    assert key("hashkey_rest") != key("hashkey_ws")
    assert key("htx_swap_rest", "reference") == "api.hbdm.com reference"


@pytest.mark.parametrize(
    ("rate", "sends", "least"), [(0.5, 3, 4.0), (8.5, 17, 2.0), (1, 3, 2.0), (3, 7, 2.0)]
)
def test_odd_rates(make: MakeBudget, rate: float, sends: int, least: float) -> None:
    assert least <= seconds_for(make(rate), sends) <= least * 1.05


def test_a_rate_is_above_zero(make: MakeBudget) -> None:
    with pytest.raises(ConfigError, match="above zero"):
        make(0)


def test_a_pause_stops_every_budget_of_the_key(make: MakeBudget) -> None:
    one, other = make(), make(1e6)
    one.pause(5)
    one.pause(2)  # a shorter one does not end it
    assert other.paused_for() == 5
    assert seconds_for(other, 1) == pytest.approx(5)
    assert one.paused_for() == 0


def test_a_pause_that_comes_during_the_wait_holds_who_waits(make: MakeBudget, fake: FakeTime) -> None:
    budget, other = make(1), make(1)
    budget.acquire()

    def sleep(seconds: float) -> None:
        if len(fake.slept) == 3:
            other.pause(10)
        fake.sleep(seconds)

    budget._sleep = sleep
    assert seconds_for(budget, 1) > 10


def test_who_oversleeps_takes_the_stamp_along(make: MakeBudget, fake: FakeTime) -> None:
    """Or the next request of the same lane would come too early after it."""
    budget = make(1)
    budget.acquire()
    budget._sleep = lambda seconds: fake.sleep(seconds + 0.4 if fake.ns > 10**15 + 10**9 else seconds)
    budget.acquire()
    budget._sleep = fake.sleep
    assert seconds_for(budget, 1) >= 1.0


def test_who_is_late_pushes_on_those_who_sleep_for_the_same_lane(make: MakeBudget, fake: FakeTime) -> None:
    budget, other = make(1), make(1)
    turn = budget.acquire()
    sleepers = [
        other._reserve(lambda: None)[0] for _ in range(2)
    ]  # one and two seconds after the stamp above
    fake.ns += 500_000_000
    assert budget.renew(turn).number == turn.number
    held = [other._hold(sleeper, lambda: None) for sleeper in sleepers]
    assert [h and round((h.stamp - turn.stamp) / 1e9, 2) for h in held] == [1.53, 2.56]
    assert seconds_for(budget, 1) == pytest.approx(1.03)


def test_a_slot_is_lost_once_the_next_of_its_lane_may_be_under_way(make: MakeBudget, fake: FakeTime) -> None:
    budget, other = make(1), make(1)
    turn = budget.acquire()
    other._reserve(lambda: None)
    fake.ns += 1_200_000_000
    again = budget.renew(turn)
    assert again.number == 2
    assert again.stamp - turn.stamp >= 2e9


def test_a_turn_is_renewed_while_nobody_follows(make: MakeBudget, fake: FakeTime) -> None:
    budget = make(1)
    turn = budget.acquire()
    fake.ns += 500_000_000
    assert budget.renew(turn) == (0, fake.ns)
    assert fake.ns == 10**15 + 500_000_000
    assert seconds_for(budget, 1) >= 1.0


def test_waiting_can_be_abandoned(make: MakeBudget, fake: FakeTime) -> None:
    budget = make(0.01)
    budget.acquire()
    until = fake.ns + 2 * 10**9
    with pytest.raises(GaveUpWaiting):
        budget.acquire(lambda: fake.ns >= until)
    assert fake.ns - until <= 10**8


def test_refusals_in_flight_are_one_refusal(make: MakeBudget, fake: FakeTime) -> None:
    one, other = make(), make()
    sent = [one.clock(), one.clock() + 1000]
    fake.ns += 10**6
    assert [one.strike(sent[0]), other.strike(sent[1]), one.strike(sent[0])] == [1, 1, 1]
    fake.ns += 10**6
    other.relent(sent[0])  # a good reply that was on its way as well says nothing
    assert one.strike(one.clock()) == 2
    fake.ns += 10**6
    other.relent(other.clock())
    assert one.state().strikes == 0


# ----------------------------------------------------------------------------------------------------------- the file


def the_file(budget: Budget) -> Path:
    budget.acquire()
    return budget.state().path


def test_the_file_is_for_everybody(make: MakeBudget) -> None:
    path = the_file(make(key="http://x/ä:1"))
    assert path.name.startswith("http_x_1-")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o1777


@pytest.mark.parametrize("rubbish", [b"x", b"htxpace1", b"htxpace0" + bytes(140_000), os.urandom(140_000)])
def test_a_spoilt_file_is_begun_anew_after_a_silent_second(make: MakeBudget, rubbish: bytes) -> None:
    """Nobody knows what that second held."""
    path = the_file(make())
    path.write_bytes(rubbish)
    assert seconds_for(make(), 1) == pytest.approx(1 + pacing.MARGIN_NS / 1e9)
    assert 10.0 <= seconds_for(make(), 100) <= 100 / 9.5


def test_a_deleted_file_is_made_again_after_a_silent_second(make: MakeBudget) -> None:
    one, other = make(), make()
    other.acquire()
    the_file(one).unlink()
    assert seconds_for(one, 1) >= 1
    assert seconds_for(other, 100) >= 9.9
    assert one.state().given == other.state().given


def test_an_emptied_file_does_no_harm(make: MakeBudget) -> None:
    budget = make()
    os.truncate(the_file(budget), 0)
    assert seconds_for(budget, 100) >= 9.8


def test_a_file_of_another_boot_is_begun_anew(make: MakeBudget, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = make()
    budget.acquire()
    budget.pause(1000)
    monkeypatch.setattr(stampfile, "_BOOT", 12345)
    assert seconds_for(make(), 1) == 0


def test_a_link_is_not_followed_and_never_written_through(make: MakeBudget, tmp_path: Path) -> None:
    path = the_file(make())
    path.unlink()
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for link in (path.symlink_to, path.hardlink_to):
        link(precious)
        with pytest.raises(LakeUnusable, match="HTXDATA_BUDGET_DIR"):
            make().acquire()
        path.unlink()
    assert precious.read_text() == "precious"


def test_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTXDATA_BUDGET_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert the_file(Budget("a", 1e6)).parent == tmp_path / "htxdata-budget"
    monkeypatch.setenv("HTXDATA_BUDGET_DIR", str(tmp_path / "chosen" / "here"))
    assert the_file(Budget("a", 1e6)).parent == tmp_path / "chosen" / "here"


def test_without_a_right_to_the_shared_folder_a_user_has_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HTXDATA_BUDGET_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "htxdata-budget").write_text("in the way")  # root may write anywhere, but not in a file
    path = the_file(Budget("a", 1e6))
    assert path.parent == tmp_path / f"htxdata-budget-{os.getuid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# -------------------------------------------------------------------------------------- with real threads and processes


def test_threads_share_it(tmp_path: Path) -> None:
    budget = Budget("threads", 50, tmp_path)
    sent: list[tuple[int, int]] = []
    stop = threading.Event()

    def hungry(number: int) -> None:
        try:
            while True:
                sent.append((budget.acquire(stop.is_set).stamp, number))
        except GaveUpWaiting:
            return

    threads = [threading.Thread(target=hungry, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    clock = Wound(0.0)
    until(lambda: clock() >= 0.8)
    assert len(sent) >= 15  # 41 on a machine with nothing else to do
    until(lambda: len(sent) >= 120, 60)
    with Watch() as watch:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert watch.seconds < 0.5
    stamps = sorted(stamp for stamp, _ in sent)
    assert max(bisect_left(stamps, at + SECOND_NS) - n for n, at in enumerate(stamps)) <= 50
    # Of 41 it were 4: whom the machine lets wait misses a turn or two, and sooner or later it is everybody.
    assert max(shares := [sum(who == n for _, who in sent) for n in range(4)]) - min(shares) <= 4 * len(sent) / 41


def test_a_child_of_a_fork_does_not_share_its_parents_lock(tmp_path: Path) -> None:
    budget = Budget("fork", 1e6, tmp_path)
    budget.acquire()
    budget._file.lock()
    pid = os.fork()
    if pid == 0:  # the child finds it locked: the open file, and with it the lock, is its parent's alone
        try:
            budget.acquire(lambda: True)
        except GaveUpWaiting:
            os._exit(7)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    budget._file.unlock()
    assert status == 7
    budget.acquire()
