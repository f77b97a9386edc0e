#include "ingest/byte_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace tidemill {
namespace {

Error FileError(std::string code, const std::string& shown, std::string_view problem, std::string hint) {
  return UserErrorAt(std::move(code), "'" + shown + "' " + std::string(problem), Place{.file = shown, .excerpt = ""},
                     std::move(hint));
}

Error Unreadable(const std::string& shown, int code) {
  return FileError(code == ENOENT ? "file_missing" : "io_error", shown, std::string("can't be read: ") + std::strerror(code),
                   code == EACCES ? "check the permissions of the file and its folder" : "");
}

Error Damaged(const std::string& shown, std::string_view problem) {
  return FileError("file_damaged", shown, "can't be unpacked: " + std::string(problem),
                   "it may have been cut off; fetch or write it again");
}

class PlainStream : public ByteStream {
 public:
  PlainStream(int descriptor, std::string shown) : descriptor_(descriptor), shown_(std::move(shown)) {}
  ~PlainStream() override { close(descriptor_); }
  Result<size_t> Read(char* bytes, size_t size) override {
    while (true) {
      const ssize_t count = read(descriptor_, bytes, size);
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) return Unreadable(shown_, errno);
    }
  }

 private:
  int descriptor_;
  std::string shown_;
};

class GzipStream : public ByteStream {
 public:
  GzipStream(gzFile file, std::string shown) : file_(file), shown_(std::move(shown)) {}
  ~GzipStream() override { gzclose_r(file_); }
  Result<size_t> Read(char* bytes, size_t size) override {
    const int count = gzread(file_, bytes, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    // A file that was cut off reads like one that ends, with the error set aside.
    if (count < 0 || code == Z_BUF_ERROR) return Damaged(shown_, message);
    return static_cast<size_t>(count);
  }

 private:
  gzFile file_;
  std::string shown_;
};

class ZipStream : public ByteStream {
 public:
  ZipStream(zip_t* archive, zip_file_t* file, std::string shown) : archive_(archive), file_(file), shown_(std::move(shown)) {}
  ~ZipStream() override {
    zip_fclose(file_);
    zip_discard(archive_);
  }
  Result<size_t> Read(char* bytes, size_t size) override {
    const zip_int64_t count = zip_fread(file_, bytes, size);
    if (count < 0) return Damaged(shown_, zip_file_strerror(file_));
    return static_cast<size_t>(count);
  }

 private:
  zip_t* archive_;
  zip_file_t* file_;
  std::string shown_;
};

/// Folders and what macOS adds do not count as files.
std::vector<std::string> FilesInside(zip_t* archive) {
  std::vector<std::string> names;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    const char* name = zip_get_name(archive, static_cast<zip_uint64_t>(i), 0);
    if (name == nullptr) continue;
    const std::string text = name;
    if (!text.empty() && text.back() != '/' && text.rfind("__MACOSX/", 0) != 0) names.push_back(text);
  }
  return names;
}

Result<std::unique_ptr<ByteStream>> OpenZip(const std::filesystem::path& path, const std::string& shown) {
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string message = zip_error_strerror(&error);
    zip_error_fini(&error);
    return code == ZIP_ER_NOENT || code == ZIP_ER_OPEN ? Unreadable(shown, errno) : Damaged(shown, message);
  }
  const auto names = FilesInside(archive);
  if (names.size() != 1) {
    zip_discard(archive);
    return FileError("zip_content", shown, "holds " + std::to_string(names.size()) + " files, expected one",
                     "pack each file by itself");
  }
  zip_file_t* file = zip_fopen(archive, names[0].c_str(), 0);
  if (file == nullptr) {
    const std::string message = zip_strerror(archive);
    zip_discard(archive);
    return Damaged(shown, message);
  }
  return std::unique_ptr<ByteStream>(new ZipStream(archive, file, shown));
}

}  // namespace

Result<std::unique_ptr<ByteStream>> OpenByteStream(const std::filesystem::path& path, const std::string& shown) {
  if (path.extension() == ".zip") return OpenZip(path, shown);
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return Unreadable(shown, errno);
  if (path.extension() != ".gz") return std::unique_ptr<ByteStream>(new PlainStream(descriptor, shown));
  gzFile file = gzdopen(descriptor, "rb");
  if (file == nullptr) {
    close(descriptor);
    return Unreadable(shown, ENOMEM);
  }
  gzbuffer(file, 1 << 17);
  return std::unique_ptr<ByteStream>(new GzipStream(file, shown));
}

}  // namespace tidemill
