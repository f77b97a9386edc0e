#include "model/onnx_session.h"

#include <cstring>

#include <fmt/format.h>
#include <onnxruntime_c_api.h>

#include "model/preparation.h"

namespace tidemill {
namespace {

const OrtApi& RuntimeApi() { return *OrtGetApiBase()->GetApi(ORT_API_VERSION); }

Status CheckRuntime(OrtStatus* status, std::string_view doing) {
  if (status == nullptr) return Ok();
  Error error = InternalError(fmt::format("ONNX Runtime failed while {}: {}", doing, RuntimeApi().GetErrorMessage(status)));
  RuntimeApi().ReleaseStatus(status);
  return error;
}

template <class Handle, void (*OrtApi::*release)(Handle*)>
struct ReleaseHandle {
  void operator()(Handle* handle) const { (RuntimeApi().*release)(handle); }
};
using EnvPointer = std::unique_ptr<OrtEnv, ReleaseHandle<OrtEnv, &OrtApi::ReleaseEnv>>;
using OptionsPointer = std::unique_ptr<OrtSessionOptions, ReleaseHandle<OrtSessionOptions, &OrtApi::ReleaseSessionOptions>>;
using SessionPointer = std::unique_ptr<OrtSession, ReleaseHandle<OrtSession, &OrtApi::ReleaseSession>>;
using MemoryPointer = std::unique_ptr<OrtMemoryInfo, ReleaseHandle<OrtMemoryInfo, &OrtApi::ReleaseMemoryInfo>>;
using ValuePointer = std::unique_ptr<OrtValue, ReleaseHandle<OrtValue, &OrtApi::ReleaseValue>>;

bool AreInterchangeable(Type wanted, Type found) {
  const auto is_number = [](Type type) { return type == Type::kBool || type == Type::kInt64 || type == Type::kDouble; };
  return wanted == found || (is_number(wanted) && is_number(found));
}

class RuntimeSession : public OnnxSession {
 public:
  RuntimeSession(EnvPointer env, SessionPointer session, MemoryPointer memory, std::vector<Field> inputs)
      : env_(std::move(env)), session_(std::move(session)), memory_(std::move(memory)), inputs_(std::move(inputs)) {
    for (const Field& input : inputs_) input_names_.push_back(input.name.c_str());
  }

  const std::vector<Field>& inputs() const override { return inputs_; }

  Result<std::vector<const Column*>> Bind(const Columns& rows) const override {
    std::vector<const Column*> bound;
    for (const Field& input : inputs_) {
      const Column* column = rows.Find(input.name);
      if (column == nullptr) {
        return UserError("missing_input", fmt::format("the model's input '{}' ({}) is missing", input.name, TypeName(input.type)),
                         "bring a column of that name; null is allowed");
      }
      if (!AreInterchangeable(input.type, column->type)) {
        return UserError("wrong_type", fmt::format("the model's input '{}' is {}, found {}", input.name, TypeName(input.type),
                                                   TypeName(column->type)));
      }
      bound.push_back(column);
    }
    return bound;
  }

  Status Run(const std::vector<const Column*>& columns, size_t first, size_t count, std::string_view output, float* to) override {
    if (count == 0) return Ok();
    std::vector<double> numbers(columns.size() * count);
    std::vector<ValuePointer> values;
    std::vector<const OrtValue*> handles;
    for (size_t i = 0; i < columns.size(); ++i) {
      TIDEMILL_ASSIGN_OR_RETURN(ValuePointer value,
                                MakeTensor(inputs_[i].type, *columns[i], first, count, numbers.data() + i * count));
      handles.push_back(value.get());
      values.push_back(std::move(value));
    }
    const std::string output_name(output);
    const char* output_names[] = {output_name.c_str()};
    OrtValue* result = nullptr;
    TIDEMILL_RETURN_IF_ERROR(CheckRuntime(
        RuntimeApi().Run(session_.get(), nullptr, input_names_.data(), handles.data(), handles.size(), output_names, 1, &result),
        "predicting"));
    const ValuePointer owned(result);
    void* scores = nullptr;
    TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().GetTensorMutableData(result, &scores), "reading scores"));
    std::memcpy(to, scores, count * sizeof(float));
    return Ok();
  }

 private:
  Result<ValuePointer> MakeTensor(Type type, const Column& column, size_t first, size_t count, double* numbers) const {
    const int64_t shape[] = {static_cast<int64_t>(count), 1};
    OrtValue* value = nullptr;
    if (type != Type::kText) {
      for (size_t i = 0; i < count; ++i) numbers[i] = NumericInput(column, first + i);
      TIDEMILL_RETURN_IF_ERROR(
          CheckRuntime(RuntimeApi().CreateTensorWithDataAsOrtValue(memory_.get(), numbers, count * sizeof(double), shape, 2,
                                                                   ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, &value),
                       "handing over numbers"));
      return ValuePointer(value);
    }
    OrtAllocator* allocator = nullptr;
    TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().GetAllocatorWithDefaultOptions(&allocator), "handing over texts"));
    TIDEMILL_RETURN_IF_ERROR(
        CheckRuntime(RuntimeApi().CreateTensorAsOrtValue(allocator, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value),
                     "handing over texts"));
    ValuePointer owned(value);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view text = TextInput(column, first + i);
      if (text.empty()) continue;
      char* buffer = nullptr;
      TIDEMILL_RETURN_IF_ERROR(
          CheckRuntime(RuntimeApi().GetResizedStringTensorElementBuffer(value, i, text.size(), &buffer), "handing over texts"));
      std::memcpy(buffer, text.data(), text.size());
    }
    return owned;
  }

  EnvPointer env_;
  SessionPointer session_;
  MemoryPointer memory_;
  std::vector<Field> inputs_;
  std::vector<const char*> input_names_;
};

Result<OptionsPointer> MakeOptions() {
  OrtSessionOptions* handle = nullptr;
  TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().CreateSessionOptions(&handle), "starting"));
  OptionsPointer options(handle);
  TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().SetIntraOpNumThreads(handle, 1), "starting"));
  TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().SetInterOpNumThreads(handle, 1), "starting"));
  return options;
}

/// The graph must take exactly the inputs that the description names.
Status CheckInputs(OrtSession* session, const std::vector<Field>& inputs) {
  size_t count = 0;
  TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().SessionGetInputCount(session, &count), "reading a graph's inputs"));
  OrtAllocator* allocator = nullptr;
  TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().GetAllocatorWithDefaultOptions(&allocator), "reading a graph's inputs"));
  bool equal = count == inputs.size();
  for (size_t i = 0; equal && i < count; ++i) {
    char* name = nullptr;
    TIDEMILL_RETURN_IF_ERROR(
        CheckRuntime(RuntimeApi().SessionGetInputName(session, i, allocator, &name), "reading a graph's inputs"));
    equal = inputs[i].name == name;
    TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().AllocatorFree(allocator, name), "reading a graph's inputs"));
  }
  if (equal) return Ok();
  return UserError("bad_model", "the model package's graph and its description name different inputs",
                   "the package is damaged: train the model again");
}

}  // namespace

Result<std::unique_ptr<OnnxSession>> OnnxSession::Load(std::string_view graph, std::vector<Field> inputs) {
  if (OrtGetApiBase()->GetApi(ORT_API_VERSION) == nullptr) {
    return InternalError(
        fmt::format("ONNX Runtime {} is older than the interface that Tidemill was built with", OnnxRuntimeVersion()));
  }
  OrtEnv* env_handle = nullptr;
  TIDEMILL_RETURN_IF_ERROR(CheckRuntime(RuntimeApi().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "tidemill", &env_handle), "starting"));
  EnvPointer env(env_handle);
  TIDEMILL_ASSIGN_OR_RETURN(const OptionsPointer options, MakeOptions());
  OrtSession* session_handle = nullptr;
  if (Status created =
          CheckRuntime(RuntimeApi().CreateSessionFromArray(env.get(), graph.data(), graph.size(), options.get(), &session_handle),
                       "loading a graph");
      !created.ok()) {
    return UserError("bad_model", created.error().message,
                     "the package is damaged, or made by another version: train the model again");
  }
  SessionPointer session(session_handle);
  TIDEMILL_RETURN_IF_ERROR(CheckInputs(session_handle, inputs));
  OrtMemoryInfo* memory = nullptr;
  TIDEMILL_RETURN_IF_ERROR(
      CheckRuntime(RuntimeApi().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory), "starting"));
  std::unique_ptr<OnnxSession> loaded =
      std::make_unique<RuntimeSession>(std::move(env), std::move(session), MemoryPointer(memory), std::move(inputs));
  return loaded;
}

std::string OnnxRuntimeVersion() { return OrtGetApiBase()->GetVersionString(); }

}  // namespace tidemill
