"""A teacher on GPUs of its own: who waits for whom, and what goes over the network."""

from __future__ import annotations

import pytest
from training_jobs import cluster, job, run, workload

from clustersim.collectives.lockstep import LockstepCommunicator
from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError

TOPOLOGY = cluster(nodes=2, node="dgx-h100")
STUDENTS = 8


def taught(*, parallelism=None, **distillation):
    """Return students on the eight GPUs of one node, and their teacher on GPUs of the other."""
    fields = {"teacher": "llama-2-13b", "gpus": 8, "top_k": 64} | distillation
    layout = {"zero": 3} if parallelism is None else parallelism
    replicas = STUDENTS // layout.get("tensor", 1)
    return job(
        model="llama-2-7b",
        gpus=STUDENTS + fields["gpus"],
        micro_batch=1,
        sequence=1024,
        parallelism=layout,
        steps=5,
        global_batch=2 * replicas,
        distillation=fields,
    )


def last_iteration(spec, topology=TOPOLOGY) -> dict[str, float]:
    table = run(spec, topology)[0].outcome().tables["iterations"]
    return {name: float(values[-1]) for name, values in table.items()}


@pytest.mark.parametrize("gpus", [1, 2])
def test_students_go_at_the_pace_of_a_teacher_that_is_slower(gpus):
    spec = taught(gpus=gpus)
    found, teacher = last_iteration(spec), workload(spec, TOPOLOGY).job.teacher
    assert found["duration_s"] == pytest.approx(2 * STUDENTS / gpus * teacher.kernels_s, rel=1e-6)
    parts = ("compute_s", "exposed_communication_s", "host_s", "waiting_s")
    assert found["duration_s"] == pytest.approx(sum(found[part] for part in parts), rel=1e-9)
    assert found["waiting_s"] > 0.2 * found["duration_s"]


def test_a_fast_teacher_costs_nothing_but_the_loss():
    found = last_iteration(taught())
    assert found["waiting_s"] == 0.0
    assert found["duration_s"] == pytest.approx(last_iteration(taught(ahead=8))["duration_s"], rel=1e-9)
    training = workload(taught(), TOPOLOGY)
    alone = workload(taught().model_copy(update={"distillation": None, "gpus": STUDENTS}), TOPOLOGY)
    assert training.job.chunks[-1][-1].forward.seconds > alone.job.chunks[-1][-1].forward.seconds
    assert [block.name for block in training.job.chunks[0]] == [block.name for block in alone.job.chunks[0]]


@pytest.mark.parametrize(("top_k", "per_token"), [(None, 2 * 32000), (64, 6 * 64)])
def test_shipping_takes_the_bytes_of_the_logits(top_k, per_token):
    teacher = workload(taught(top_k=top_k), TOPOLOGY).job.teacher
    assert teacher.size_bytes == 1024 * per_token


def test_students_wait_for_a_network_that_is_slower_than_both():
    topology = cluster(nodes=2, node="dgx-h100", bandwidth="1 Gbit/s")
    spec = taught(top_k=None)
    made = workload(spec, topology).job
    teacher = made.teacher
    ships = LockstepCommunicator(World(topology), teacher.pairs(made.layout, 0), owner="probe")
    ship_s = ships.alone_s("send_recv:0:1", teacher.size_bytes)
    assert ship_s > 10 * teacher.kernels_s
    found_s = last_iteration(spec, topology)["duration_s"]
    assert 2 * teacher.size_bytes / 125e6 <= found_s <= 2 * ship_s  # latencies of two under way overlap
    assert found_s == pytest.approx(2 * ship_s, rel=0.04)


def test_each_lane_of_the_students_is_taught_by_itself():
    spec = taught(parallelism={"tensor": 4})
    training, _ = run(spec, TOPOLOGY)
    teacher, layout = training.job.teacher, training.job.layout
    assert [len(teacher.pairs(layout, replica)) for replica in (0, 1)] == [4, 4]
    assert {source for source, _ in teacher.pairs(layout, 1)} == {teacher.gpus[1]}
    assert "a teacher on other GPUs" in training.outcome().notes[0]


def test_a_teacher_in_pieces_is_faster_for_each_and_has_fewer_replicas():
    whole, divided = (workload(taught(tensor=tensor), TOPOLOGY).job.teacher for tensor in (1, 8))
    assert divided.kernels_s < whole.kernels_s / 4
    assert (whole.students, divided.students) == (1.0, 8.0)
    assert len(divided.groups) == 1


def test_the_students_layout_is_that_of_its_own_gpus():
    training = workload(taught(), TOPOLOGY)
    assert training.job.layout.ranks == STUDENTS
    assert set(training.job.teacher.gpus).isdisjoint(
        training.job.layout.gpu(rank) for rank in range(STUDENTS)
    )


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"tensor": 3}, InputError, "3 has to divide the teacher's 8 GPUs and 40 heads"),
        ({"teacher": "llama-2-70b", "tensor": 1}, CannotRunError, r"weights take 13\d GiB|words|GiB"),
        ({"gpus": None, "top_k": 4}, ValueError, "set 'gpus' too"),
    ],
)
def test_a_teacher_that_cannot_be_placed_is_refused(fields, error, said):
    spec = {"teacher": "llama-2-13b", "gpus": 8} | fields
    with pytest.raises(error, match=said):
        workload(
            job(
                model="llama-2-7b",
                gpus=16,
                micro_batch=1,
                sequence=512,
                parallelism={"zero": 3},
                distillation=spec,
            ),
            TOPOLOGY,
        )


def test_a_teacher_that_leaves_no_student_is_refused():
    with pytest.raises(InputError, match="leave none for the student"):
        workload(taught().model_copy(update={"gpus": 8}), TOPOLOGY)
