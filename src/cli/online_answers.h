#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/command.h"
#include "cli/open.h"
#include "feature/online/store.h"

namespace tidemill {

/// JSON from the command line: the text itself, or stdin for "-". A single object counts as a list of one.
Result<Json> ReadInstances(const std::string& text);

/// Answers from the online store of a project, wherever it is owned: by a running server, which is then asked
/// with `path` and `body`, or by nobody, and then `local` answers with the store opened here. Both answer in
/// the same form. Without a body (null) the server is asked by GET.
Result<Json> AnswerOnline(const CommandContext& context, const std::string& path, const Json& body,
                          const std::function<Result<Json>(OnlineStore& store)>& local);

}  // namespace tidemill
