#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "feature/online/store.h"
#include "lake/lake.h"
#include "serve/live_model.h"
#include "serve/materialize.h"
#include "serve/push_door.h"

namespace tidemill {

struct ServerOptions {
  std::string address = "127.0.0.1";
  int port = 8080;                      ///< 0: chosen by the system
  int threads = 2;                      ///< that answer requests
  std::filesystem::path endpoint_file;  ///< written when ready with {"address", "port", "pid"}; removed at the end
  Timestamp now;                        ///< project clock, moved on by materialization; 0: the wall clock moves on
  int refresh_ms = 1000;                ///< between two looks at the champion aliases
};

/// What a server works on. All of it must outlive the server.
struct ServerParts {
  Catalog* catalog = nullptr;
  Lake* lake = nullptr;
  OnlineStore* store = nullptr;
  OnlinePushes* pushes = nullptr;                ///< nullptr: the project has no pushed sources
  const PushDoor* door = nullptr;                ///< not nullptr where pushes is
  std::vector<LaterView> later;                  ///< views that see pushes with the next run
  const Clock* clock = nullptr;                  ///< operations clock
  std::vector<std::string> models;               ///< those that may be asked for
  std::vector<OnlineWork::View> views;           ///< of the project, for POST /v1/features/VIEW
  std::map<std::string, FeaturePlan> derived_views;  ///< for the same
  std::function<void(const std::string&)> tell;  ///< a line for the operator; called from any thread, one at a time
};

/// HTTP. Routes: GET /health, GET /v1/models, POST /v1/models/M/predict ({"instances": [{...}], "at":
/// optional}), POST /v1/features/VIEW
/// ({"entities": [{...}], "at": optional}), POST /v1/push/SOURCE ({"rows": [{...}], "id": optional}), POST
/// /v1/materialize and POST /v1/flush (asked by `run` while the server owns the
/// online store), GET /metrics, and of the Open Inference Protocol V2 the health and metadata calls. Errors
/// are JSON {"error": {code, message, hint}} with 4xx or 5xx. Every prediction goes through a bounded queue
/// to the lake table `tidemill.predictions`; when the queue is full it is counted, never waited for. The
/// champion alias is looked at every second; a new version takes over between two requests.
class Server {
 public:
  virtual ~Server() = default;
  virtual int port() const = 0;
  virtual Status Wait() = 0;  ///< until Stop() or a signal (SIGINT, SIGTERM)
  virtual void Stop() = 0;    ///< finishes requests under way and writes the log
};

/// Listens when it returns. Code "port_in_use" with what to do when the port is taken.
Result<std::unique_ptr<Server>> StartServer(const ServerOptions& options, const ServerParts& parts);

}  // namespace tidemill
