#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include "base/files.h"
#include "feature/online/entity_states.h"
#include "feature/online/store.h"

namespace tidemill {
namespace {

Error StoreError(const rocksdb::Status& status) {
  if (status.IsNoSpace())
    return Unavailable("no_space", "the online store could not write: " + status.ToString(), "free disk space and try again");
  if (status.IsCorruption()) {
    return UserError("store_damaged", "the online store is damaged: " + status.ToString(),
                     "it holds nothing that the lake does not: delete .tidemill/online and run again");
  }
  return Unavailable("store_failed", "the online store failed: " + status.ToString());
}

/// Spaces are told apart by a prefix that no other space's keys can begin with.
std::string FullKey(std::string_view space, std::string_view key) {
  std::string full;
  AppendKeyPart(Datum::Text(space), Type::kText, full);
  full.append(key);
  return full;
}

/// The first key after all those that begin with `prefix`, which ends in a zero byte.
std::string EndOf(std::string prefix) {
  prefix.back() = '\1';
  return prefix;
}

class EmbeddedStore : public OnlineStore {
 public:
  explicit EmbeddedStore(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}
  ~EmbeddedStore() override { (void)db_->Close(); }

  Result<std::optional<std::string>> Get(std::string_view space, std::string_view key) override {
    std::string bytes;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), FullKey(space, key), &bytes);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return StoreError(status);
    return std::optional<std::string>(std::move(bytes));
  }

  Result<std::vector<std::optional<std::string>>> GetMany(std::string_view space, const std::vector<std::string>& keys) override {
    std::vector<std::string> full;
    for (const std::string& key : keys) full.push_back(FullKey(space, key));
    const std::vector<rocksdb::Slice> slices(full.begin(), full.end());
    std::vector<std::string> values;
    const std::vector<rocksdb::Status> statuses = db_->MultiGet(rocksdb::ReadOptions(), slices, &values);
    std::vector<std::optional<std::string>> result(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return StoreError(statuses[i]);
      result[i] = std::move(values[i]);
    }
    return result;
  }

  Status Put(const std::vector<Write>& writes, Durability durability) override {
    rocksdb::WriteBatch batch;
    for (const Write& write : writes) {
      const std::string key = FullKey(write.space, write.key);
      const rocksdb::Status status = write.bytes ? batch.Put(key, *write.bytes) : batch.Delete(key);
      if (!status.ok()) return StoreError(status);
    }
    return Apply(batch, durability);
  }

  Status Clear(std::string_view space) override {
    const std::string prefix = FullKey(space, "");
    return DeleteRange(prefix, EndOf(prefix));
  }

  Status ClearBelow(std::string_view space, std::string_view end) override {
    return DeleteRange(FullKey(space, ""), FullKey(space, end));
  }

  Status Scan(std::string_view space, std::string_view begin,
              const std::function<Result<bool>(std::string_view key, std::string_view bytes)>& take) override {
    const std::string prefix = FullKey(space, "");
    const std::string end = EndOf(prefix);
    const rocksdb::Slice upper(end);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    options.total_order_seek = true;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    for (at->Seek(FullKey(space, begin)); at->Valid(); at->Next()) {
      const std::string_view key = at->key().ToStringView().substr(prefix.size());
      TIDEMILL_ASSIGN_OR_RETURN(const bool goes_on, take(key, at->value().ToStringView()));
      if (!goes_on) return Ok();
    }
    if (!at->status().ok()) return StoreError(at->status());
    return Ok();
  }

 private:
  Status DeleteRange(const std::string& begin, const std::string& end) {
    rocksdb::WriteBatch batch;
    const rocksdb::Status status = batch.DeleteRange(begin, end);
    if (!status.ok()) return StoreError(status);
    return Apply(batch, Durability::kAcknowledged);
  }

  Status Apply(rocksdb::WriteBatch& batch, Durability durability) {
    rocksdb::WriteOptions options;
    options.sync = durability == Durability::kAcknowledged;
    const rocksdb::Status status = db_->Write(options, &batch);
    if (!status.ok()) return StoreError(status);
    return Ok();
  }

  std::unique_ptr<rocksdb::DB> db_;
};

rocksdb::Options StoreOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = size_t{16} << 20;
  options.max_open_files = 256;
  options.keep_log_file_num = 2;
  options.max_background_jobs = 2;
  options.info_log_level = rocksdb::WARN_LEVEL;
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_cache = rocksdb::NewLRUCache(size_t{32} << 20);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

Result<std::unique_ptr<OnlineStore>> OnlineStore::OpenEmbedded(const std::filesystem::path& folder) {
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(folder));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(StoreOptions(), folder.string(), &db);
  if (!status.ok()) {
    const std::string text = status.ToString();
    if (status.IsIOError() && text.find("lock") != std::string::npos) {
      return Unavailable("store_owned", "another process owns the online store in " + folder.string(),
                         "ask the running server, or stop it first");
    }
    return StoreError(status);
  }
  return std::unique_ptr<OnlineStore>(std::make_unique<EmbeddedStore>(std::unique_ptr<rocksdb::DB>(db)));
}

}  // namespace tidemill
