// One writer per quantised type: quantize.cpp looks them up.
#pragma once

#include <cstddef>

#include "tensor/blocks.h"

namespace hearth::tensor::quant {

// Each fills one block from its 32 or 256 weights at x; `importance` may be null.
void write_block(const float* x, const float* importance, BlockQ4_0& out);
void write_block(const float* x, const float* importance, BlockQ4_1& out);
void write_block(const float* x, const float* importance, BlockQ5_0& out);
void write_block(const float* x, const float* importance, BlockQ5_1& out);
void write_block(const float* x, const float* importance, BlockQ8_0& out);
void write_block(const float* x, const float* importance, BlockIQ4_NL& out);
void write_block(const float* x, const float* importance, BlockQ2_K& out);
void write_block(const float* x, const float* importance, BlockQ3_K& out);
void write_block(const float* x, const float* importance, BlockQ4_K& out);
void write_block(const float* x, const float* importance, BlockQ5_K& out);
void write_block(const float* x, const float* importance, BlockQ6_K& out);

}  // namespace hearth::tensor::quant
