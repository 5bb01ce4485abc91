// What a calibration has seen so far, in a checkpoint.
#pragma once

#include <string>

#include "qad/checkpoint/checkpoint.h"
#include "qad/quant/attach.h"

namespace qad {

/// The scales that the quantizers have observed, and which weights were read (of experts: that a token came).
void add_calibration(const QuantizerSet& quantizers, CheckpointContent& content);
/// The quantizers observe on from there. Throws, naming `where`, for what is not these quantizers' own.
void take_calibration(const CheckpointContent& content, const std::string& where, QuantizerSet& quantizers);

}  // namespace qad
