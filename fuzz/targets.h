#pragma once

#include <cstddef>
#include <cstdint>

#include "feature/program/program.h"

/// What is fuzzed. Each takes any bytes, and must neither crash, hang nor break a promise, which it ends the process for.
namespace tidemill::fuzz {

/// The fourth of the programs that states are fuzzed with: its rows are folded.
Program ProgramOfFolds();

/// The JSON of a feature program: read, made ready, run over a few rows.
int FuzzProgram(const uint8_t* data, size_t size);
/// A state in one piece, of one of a few programs (the first byte). Checksums are put right before it is loaded.
int FuzzState(const uint8_t* data, size_t size);
/// A state in records: their lengths come before them.
int FuzzRecords(const uint8_t* data, size_t size);
/// A record of the push log.
int FuzzPush(const uint8_t* data, size_t size);
/// The JSON that a client pushes, read under a contract.
int FuzzBody(const uint8_t* data, size_t size);

}  // namespace tidemill::fuzz
