#include "orchestrate/lineage.h"
namespace tidemill {
Result<Json> TraceLineage(Workspace&, const std::string& subject) { return InternalError(subject); }
}  // namespace tidemill
