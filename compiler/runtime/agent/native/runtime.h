// Those of TVM's libraries that the agent is not linked to, loaded for what they register.
#pragma once

namespace edgetune {

void load_runtime_extra();  // sorting, random numbers, BLAS: throws Error where it is missing
void load_runtime_cuda();   // nothing happens where it, or CUDA, is not there

}  // namespace edgetune
