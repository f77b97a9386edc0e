#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "feature/program/functions.h"
#include "feature/program/program.h"

namespace tidemill {

/// The deepest and largest expression that is accepted: programs come from files.
constexpr int kExpressionDepthMax = 100;
constexpr int kExpressionNodesMax = 10'000;

/// Code "bad_program": it was damaged, or written by another version.
Error BadProgram(std::string message);

/// Makes an expression ready to run over rows of these types. Checks everything: depth, column indices, functions, and that
/// each type is the one that its function gives. Codes: "bad_program", and those of ResolveFunction.
Result<Node> Prepare(const Expression& expression, std::span<const Type> inputs);

}  // namespace tidemill
