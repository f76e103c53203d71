"""Fits on a Ray cluster: one that is there, or one of this machine that ends with the batch.

On every node there is a worker for each GPU or, where the cluster has none, for each share of its CPUs: a process that stays
warm. It works in the driver's folder, is told paths and answers with a few numbers: recordings and runs lie where all nodes
see them. A worker or a node that dies costs the jobs in hand; others take its place, there or on a node that comes later.
"""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from types import FrameType
from typing import Any, NamedTuple

from evinr.events import InputError
from evinr.executors import processes, ray_clusters
from evinr.executors.work import Died, Job, Result, done

LOOK = 1
"""Seconds after which `wait` comes back even with nothing, so that new nodes get workers and a wish to stop is seen."""
FALSE_STARTS = 3
"""Workers that may die in one place before they have started."""


class Place(NamedTuple):
    """Where there may be a worker."""

    node: str
    number: int
    """Counted from 0 on every node."""
    gpu: bool


class Known(NamedTuple):
    """What a worker says of itself when it is asked."""

    version: str
    has_folder: bool
    """Whether the driver's working folder is there, too, and is now the worker's."""
    host: str
    process: int


class Hand(NamedTuple):
    """A worker, seen from the driver."""

    place: Place
    actor: Any
    known: Known | None = None


class Worker:
    """What runs on the cluster."""

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self._has_folder = os.path.isdir(folder)
        if self._has_folder:
            os.chdir(folder)
        os.environ.update(environment)  # before JAX is imported

    def known(self) -> Known:
        """The worker, which lives."""
        return Known(version("evinr"), self._has_folder, socket.gethostname(), os.getpid())

    def done(self, job: Job) -> Result:
        """One fit, to its end."""
        before = signal.signal(signal.SIGTERM, _interrupt)  # for what a fit does before and after it sees signals
        try:
            return done(job)
        finally:
            signal.signal(signal.SIGTERM, before)


class Workers:
    """An executor whose workers are actors of the Ray cluster that this process has joined."""

    def __init__(self, cluster: ray_clusters.Cluster, limit: int, room: float) -> None:
        """At most so many workers, each with so many bytes of memory to itself; one of them is there."""
        self._ray, self._cpus, self._limit, self._room = cluster.ray, cluster.cpus, limit, room
        self._asked: dict[Any, Hand] = {}
        """Those that have not said yet who they are."""
        self._idle: list[Hand] = []
        self._busy: dict[Any, tuple[Hand, Job]] = {}
        self._told_to_stop: dict[Any, bool] = {}
        """Of jobs in hand that are to stop: whether their workers know."""
        self._false_starts: Counter[Place] = Counter()
        self._given_up: set[Place] = set()
        try:
            while not self._idle:
                self.wait()
        except BaseException:
            self.close()
            raise
        one, count = self._idle[0].place, len(self._hands())
        share = "a GPU" if one.gpu else f"{self._cpus} CPU core" + "s" * (self._cpus > 1)
        self.about = f"{count} worker{'s' * (count > 1)} of Ray {cluster.where}, {share}{' each' * (count > 1)}"

    @property
    def free(self) -> int:
        """How many jobs can be started now: workers that are still starting get none."""
        return len(self._idle)

    @property
    def pids(self) -> dict[str, int]:
        """The process of every job in hand, on its node; for tests and tools."""
        return {job.name: hand.known.process for hand, job in self._busy.values() if hand.known}

    def start(self, job: Job) -> None:
        """Hand a job to a worker."""
        hand = self._idle.pop(0)
        self._busy[hand.actor.done.remote(job)] = hand, job

    def wait(self) -> list[Result | Died]:
        """What has happened, perhaps nothing. Raises InputError where no worker can be had."""
        self._hire()
        for one in [one for one, told in self._told_to_stop.items() if not told]:
            self._told_to_stop[one] = True
            self._terminate(self._busy[one][0])
        ended, _ = self._ray.wait([*self._asked, *self._busy], num_returns=1, timeout=LOOK)
        return [self._ended(one) for one in ended if not self._introduced(one)]

    def stop(self) -> None:
        """Have the fits in hand save what they have and end."""
        for one in list(self._busy):
            self._told_to_stop.setdefault(one, False)  # `wait` tells: Ray may be at work when a signal is handled

    def close(self) -> None:
        """End all workers at once, and the cluster if it is our own."""
        for hand in self._hands():
            self._ray.kill(hand.actor)
        self._ray.shutdown()

    def _hands(self) -> list[Hand]:
        return [*self._asked.values(), *self._idle, *(hand for hand, _ in self._busy.values())]

    def _places(self) -> list[Place]:
        return places(self._ray.nodes(), self._cpus, self._room)

    def _hire(self) -> None:
        """See that there are workers in all places, but no more than so many."""
        hands = self._hands()
        taken = {hand.place for hand in hands} | self._given_up
        empty = [place for place in self._places() if place not in taken]
        for place in empty[: max(0, self._limit - len(hands))]:
            needs = {"num_gpus": 1, "num_cpus": 1} if place.gpu else {"num_cpus": self._cpus}
            worker = self._ray.remote(Worker).options(**needs, scheduling_strategy=self._on(place.node))
            self._ask(Hand(place, worker.remote(os.getcwd(), told(os.environ, None if place.gpu else self._cpus))))
        if not self._hands():
            raise InputError("the Ray cluster has no CPUs or GPUs (left) for workers; see `ray status`")

    def _ask(self, hand: Hand) -> None:
        self._asked[hand.actor.known.remote()] = hand

    def _introduced(self, reference: Any) -> bool:
        """Whether this was the answer of a worker that was asked who it is."""
        hand = self._asked.pop(reference, None)
        if hand is None:
            return False
        try:
            known: Known = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._false_starts[hand.place] += hand.place in self._places()  # unless the node is lost
            lasting = getattr(error, "actor_init_failed", False) or self._false_starts[hand.place] > FALSE_STARTS
            reason = str(error).strip().splitlines()[-1].strip()
            wrong = f"a worker of the Ray cluster does not start ({reason})" if lasting else None
        else:
            wrong = _wrong(known)
            if wrong is None:
                del self._false_starts[hand.place]
                self._idle.append(hand._replace(known=known))
                return True
        self._ray.kill(hand.actor)
        if wrong and not self._busy:
            raise InputError(f"{wrong}; see that all nodes have the same evinr, and the same folders")
        if wrong:  # a node that came while others work
            self._given_up.add(hand.place)
        return True

    def _ended(self, reference: Any) -> Result | Died:
        self._told_to_stop.pop(reference, None)
        hand, job = self._busy.pop(reference)
        try:
            result: Result = self._ray.get(reference)
        except self._ray.exceptions.RayError:
            self._ray.kill(hand.actor)  # one that is only out of reach must not go on beside its successor
            for other in [other for other in self._idle if other.place.node == hand.place.node]:
                self._idle.remove(other)
                self._ask(other)  # it may be gone with its node
            assert hand.known is not None
            host = hand.known.host
            return Died(
                job.name, f"process {hand.known.process} on {host} is gone, perhaps for want of memory, or {host} is"
            )
        self._idle.append(hand)
        return result

    def _terminate(self, hand: Hand) -> None:
        assert hand.known is not None
        end = self._ray.remote(_end).options(num_cpus=0, scheduling_strategy=self._on(hand.place.node))
        end.remote(hand.known.process)

    def _on(self, node: str) -> Any:
        return self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)


def opened(address: str | None, workers: int | None, jobs: int) -> Workers:
    """So many workers of a cluster that is found, or started, but no more than jobs; the first of them is there.

    Args:
        address: HOST:PORT of the cluster of which this machine is a node, "auto" to have it found; None: what RAY_ADDRESS
            says, and where that says nothing a cluster of our own on this machine.
        workers: None: one for each GPU or, where the cluster has none, for each core that has room, on every node.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or evinr is another one there.
    """
    cluster = ray_clusters.joined(address or os.environ.get("RAY_ADDRESS") or "local", workers, jobs)
    return Workers(cluster, min(workers or jobs, jobs), 0.0 if workers else processes.ROOM)


def places(nodes: Iterable[Mapping[str, Any]], cpus: int, room: float) -> list[Place]:
    """The places of a cluster whose `ray.nodes()` these are, nodes by turns: one for each GPU, else for each so many CPUs that
    have so many bytes of memory, but at least one on a node that has the CPUs."""
    alive = [(node["NodeID"], node["Resources"]) for node in nodes if node["Alive"]]
    gpu = any(has.get("GPU", 0) >= 1 for _, has in alive)

    def count(has: Mapping[str, float]) -> int:
        if gpu:
            return int(has.get("GPU", 0))
        fit = int(has.get("CPU", 0)) // cpus
        return fit if room == 0 else min(fit, max(1, int(has.get("memory", 0) / room)))

    return sorted(
        [Place(node, n, gpu) for node, has in alive for n in range(count(has))], key=lambda place: place.number
    )


def told(environment: Mapping[str, str], cpus: int | None) -> dict[str, str]:
    """What of the driver's environment a worker must have, who may have been started elsewhere; None: it has a GPU."""
    known = {name: value for name, value in environment.items() if name.startswith(("EVINR_", "JAX_", "XLA_"))}
    known |= {name: environment[name] for name in ("WANDB_DIR", "WANDB_MODE") if name in environment}
    return known if cpus is None else known | {"PJRT_NPROC": str(cpus)}  # threads of XLA on the CPU


def _wrong(known: Known) -> str | None:
    """Why a worker is of no use here."""
    if known.version != version("evinr"):
        return f"{known.host}: has evinr {known.version}, this is {version('evinr')}"
    return None if known.has_folder else f"{known.host}: has no {os.getcwd()}, in which this was started"


def _end(process: int) -> None:
    os.kill(process, signal.SIGTERM)  # Ray's processes do not hear SIGINT


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
