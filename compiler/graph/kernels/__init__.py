"""What each kernel computes, as tensor expressions; how it is laid out on hardware is the business of `schedules/`.

The block that does a kernel's work carries the annotation `edgetune.kernel`, by which `schedules/` recognises it after
fusion has put other operators around it.
"""

KERNEL = "edgetune.kernel"
GROUPS = "edgetune.groups"  # of a convolution: a tile of channels must not straddle two groups
FUSES_ELEMENTWISE = 4  # relax::OpPatternKind::kOutEWiseFusable: elementwise operators behind a kernel are fused into it
