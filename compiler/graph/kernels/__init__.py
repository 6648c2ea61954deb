"""What each kernel computes, as tensor expressions; how it is laid out on hardware is the business of `schedules/`.

The block that does a kernel's work carries the annotation `edgetune.kernel`, by which `schedules/` recognises it after
fusion has put other operators around it.
"""

KERNEL = "edgetune.kernel"
GROUPS = "edgetune.groups"  # of a convolution: a tile of channels must not straddle two groups
FACTORS = "edgetune.factors"  # of a product: what a schedule may round factors to, `tf32`; weights are rounded already
FUSES_ELEMENTWISE = 4  # relax::OpPatternKind::kOutEWiseFusable: elementwise operators behind a kernel are fused into it


def rounding(factors: str | None) -> dict[str, str]:
    """The annotation of a product whose factors may be rounded to `factors`; none for FP32."""
    return {} if factors is None else {FACTORS: factors}
