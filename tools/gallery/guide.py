"""A guide to the choice of an operator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A line of the guide.

    Attributes:
        wish: The aim of the user.
        take: Recommended operators, the first choice first.
        claim: The claim of the literature that supports the recommendation, if any.
    """

    wish: str
    take: tuple[str, ...]
    claim: str = ""


GUIDE = (
    Advice("Smaller maps inside a CNN", ("max_pool", "avg_pool")),
    Advice(
        "One vector per image, for classification",
        ("global_avg_pool",),
        "Lin et al. (2014) claim less overfitting than with dense layers.",
    ),
    Advice(
        "One vector per image, for retrieval of similar images",
        ("gem_pool",),
        "Radenović et al. (2019) claim better retrieval than by average or maximum.",
    ),
    Advice(
        "Maps of fixed size from images of any size",
        ("adaptive_avg_pool", "adaptive_max_pool", "spatial_pyramid_pool"),
    ),
    Advice(
        "Features of boxes",
        ("roi_align",),
        "He et al. (2017) claim better masks than with `roi_pool`.",
    ),
    Advice(
        "Robustness to shifts of the image by a pixel",
        ("max_blur_pool", "blur_pool"),
        "Zhang (2019) claims more consistent and more accurate networks.",
    ),
    Advice(
        "A gradient for every element of a window, largest for the strongest",
        ("soft_pool", "logsumexp_pool", "gem_pool"),
        "Stergiou et al. (2021) claim more accurate networks with the first.",
    ),
    Advice(
        "Less overfitting",
        ("stochastic_pool", "fractional_max_pool"),
        "Zeiler and Fergus (2013) and Graham (2014) claim less overfitting.",
    ),
    Advice("Upsampling to the original size", ("max_unpool", "max_pool_with_argmax")),
    Advice("Robustness to outliers", ("median_pool",)),
    Advice("Any other reduction", ("reduce_window",)),
)
