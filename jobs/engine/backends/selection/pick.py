"""The rule: the fastest that is near enough to fp32; and the words for it. Pure arithmetic on what was measured."""

from collections.abc import Mapping

from jobs.engine.backends.selection.candidate import Candidate

#: PSNR in dB, of 8-bit pixels, that bf16 must reach against fp32 with the network's own weights. RealESRGAN_x4plus
#: comes to 47 to 52 on pictures, realesr-animevideov3 to 53 to 55.
BOUND = 50.0
#: bf16 must win by so much: what it gains less is not worth its error, nor certain on a busy machine.
_CLEARLY = 1.1


def ranked(seconds: Mapping[Candidate, float]) -> list[Candidate]:
    """Return the candidates in the order in which to try them, by their seconds for the same work.

    Of equally fast ones the earlier of the mapping comes first.
    """

    def worth(candidate: Candidate) -> float:
        return seconds[candidate] * (_CLEARLY if candidate.precision == "bf16" else 1.0)

    return sorted(seconds, key=worth)


def words(taken: Candidate, seconds: Mapping[Candidate, float], passed_over: Mapping[Candidate, str]) -> str:
    """Return the reason for a choice in words, such as "winograd fp32; openvino bf16 takes 1.5 times as long".

    :param seconds: for the same work; empty where there was nothing to choose from.
    :param passed_over: the candidates before it in the order, and what was wrong with them.
    """
    told = [str(taken)]
    for candidate, reason in passed_over.items():
        speed = f" would take {seconds[candidate] / seconds[taken]:.2f} of its time, but" if taken in seconds else ""
        told.append(f"{candidate}{speed} {reason}")
    others = [candidate for candidate in seconds if candidate != taken and candidate not in passed_over]
    told += [f"{candidate} takes {seconds[candidate] / seconds[taken]:.1f} times as long" for candidate in others]
    return "; ".join(told)


def too_far(decibels: float) -> str:
    """Return what is wrong with a candidate that comes so near to fp32, in dB; "" where it is near enough."""
    return (
        "" if decibels >= BOUND else f"comes to {decibels:.1f} dB of fp32 with these weights, and {BOUND:.0f} are asked"
    )
