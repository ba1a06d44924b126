"""Time a training step of EfficientNetV2S beside one of EfficientNetV2B2.

    python benchmarks/backbones.py [--rounds 10] [--batch 4] [--processor] [--record]

The paper says that V2S "requires twice as much training time" (Section 3.1). Both are the networks
of Figure 2 with k = 4, random weights, 256 px, in turns; `bank.py` says how times are taken.
Multiply-adds stand beside them, since time depends on the machine.
"""

from bank import arguments, compared, in_turns, report, training_step

from gramnb.architecture import costs
from gramnb.paper import CLAIMS

BACKBONES, K = ("EfficientNetV2B2", "EfficientNetV2S"), 4


def main() -> None:
    given = arguments(rounds=10)
    tasks = {name: training_step(name, K, given.batch) for name in BACKBONES}
    steps = in_turns(tasks, given.rounds, given.processor)
    rows = [compared(steps, *BACKBONES)]
    report("backbones", f"Step, k = {K}, 256 px", given.batch, rows, given)
    few, many = (costs(name, ks=(K,)).at[K, "multiply-adds"] for name in BACKBONES)
    print(f"multiply-adds: {many / few:.2f} times; the paper: {CLAIMS.training_time_v2s:g} times")


if __name__ == "__main__":
    main()
