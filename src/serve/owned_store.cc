#include "serve/owned_store.h"

#include "lake/pushed_rows.h"
#include "serve/client.h"

namespace tidemill {
namespace {

constexpr int kFlushTimeoutMs = 600'000;

}  // namespace

Result<OwnedStore> OpenOwnedStore(const OnlineSite& site, Lake& lake, std::function<void(const std::string&)> tell) {
  OwnedStore owned;
  TIDEMILL_ASSIGN_OR_RETURN(owned.store, OnlineStore::OpenEmbedded(site.store_folder));
  owned.store->states().SetCacheBytes(site.cache_bytes);
  if (!site.takes_pushes) return owned;
  OnlinePushes::Parts parts;
  parts.store = owned.store.get();
  parts.reserve_sequence = [&lake](int64_t count) { return lake.ReserveSequence(count); };
  parts.store_in_lake = [&lake](const std::vector<PushedBatch>& batches) { return StorePushedRows(lake, batches); };
  parts.tell = std::move(tell);
  TIDEMILL_ASSIGN_OR_RETURN(owned.pushes, OnlinePushes::Open(std::move(parts), site.pushed_views.at_once, PushOptions{}));
  return owned;
}

Status FlushPushes(const OnlineSite& site, Lake& lake) {
  if (!site.takes_pushes) return Ok();
  auto owned = OpenOwnedStore(site, lake);
  if (owned.ok()) return owned->pushes->Stop();
  if (owned.error().code != "store_owned") return owned.error();
  const auto endpoint = ReadEndpoint(site.endpoint_file);
  if (!endpoint) return owned.error();
  const auto flushed = PostJson(endpoint->address, endpoint->port, "/v1/flush", Json::object(), kFlushTimeoutMs);
  return flushed.ok() ? Ok() : Status(flushed.error());
}

}  // namespace tidemill
