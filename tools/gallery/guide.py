"""Which operator is for what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A line of the guide.

    Attributes:
        wish: What somebody wants.
        take: Operators that do it, the first choice first.
        claim: What the literature says for it, where that is the ground.
    """

    wish: str
    take: tuple[str, ...]
    claim: str = ""


GUIDE = (
    Advice("Smaller maps inside a CNN", ("max_pool", "avg_pool")),
    Advice(
        "One vector an image, to classify it",
        ("global_avg_pool",),
        "Lin et al. (2014) claim less overfitting than with dense layers.",
    ),
    Advice(
        "One vector an image, to find images like it",
        ("gem_pool",),
        "Radenović et al. (2019) claim better retrieval than by average or maximum.",
    ),
    Advice(
        "One size of map, whatever the size of the image",
        ("adaptive_avg_pool", "adaptive_max_pool", "spatial_pyramid_pool"),
    ),
    Advice(
        "The features of boxes",
        ("roi_align",),
        "He et al. (2017) claim better masks than with `roi_pool`.",
    ),
    Advice(
        "The same answer when the image moves by a pixel",
        ("max_blur_pool", "blur_pool"),
        "Zhang (2019) claims more consistent and more accurate networks.",
    ),
    Advice(
        "A derivative for every element of a window, and most for the strongest",
        ("soft_pool", "logsumexp_pool", "gem_pool"),
        "Stergiou et al. (2021) claim more accurate networks with the first.",
    ),
    Advice(
        "Less overfitting",
        ("stochastic_pool", "fractional_max_pool"),
        "Zeiler and Fergus (2013) and Graham (2014) claim it.",
    ),
    Advice("Back to the larger map", ("max_unpool", "max_pool_with_argmax")),
    Advice("No outliers", ("median_pool",)),
    Advice("A reduction that is not here", ("reduce_window",)),
)
