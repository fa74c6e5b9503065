// A pretend GPU: tensors whose memory is the CPU's under another name, for machines without a GPU.
//
// Every operator that torch has no kernel for on this device arrives in `run_on_cpu`. It refuses what CUDA refuses, a CPU
// tensor or a CPU generator beside tensors of the device, and computes with the CPU's kernel on the same memory. It can
// also play a GPU without free memory, one that is too old for the build of torch, and one without float64.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>

namespace {
using at::Tensor;
using c10::Device, c10::DeviceIndex, c10::DeviceType, c10::DispatchKey, c10::DispatchKeySet, c10::IValue, c10::Stream;
using torch::jit::Stack;
const Device pretend(DeviceType::PrivateUse1, 0), cpu(DeviceType::CPU);

std::atomic<long> used{0}, kernels{0}, limit{0};  // bytes; operators run; bytes that the GPU has, or 0: any number
std::atomic<bool> old{false}, single{false};

bool ours(const Tensor& t) { return t.defined() && t.device() == pretend; }

void take(long bytes) {
  TORCH_CHECK_WITH(OutOfMemoryError, !limit || used + bytes <= limit,
      "CUDA out of memory. Tried to allocate ", bytes, " bytes of the pretend GPU's ", limit.load());
  used += bytes;
}

// Memory of the CPU's allocator, or of a tensor that a CPU kernel has made, counted as the device's until it is freed.
struct Held {
  c10::DataPtr memory;
  c10::Storage storage;
  long bytes;
  static void free(void* held) {
    used -= static_cast<Held*>(held)->bytes;
    delete static_cast<Held*>(held);
  }
};

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    take(bytes);
    auto held = new Held{c10::GetCPUAllocator()->allocate(bytes), {}, long(bytes)};
    return {held->memory.get(), held, &Held::free, pretend};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
} memory;
REGISTER_ALLOCATOR(DeviceType::PrivateUse1, &memory);

struct Guard final : c10::impl::NoOpDeviceGuardImpl<DeviceType::PrivateUse1> {
  Device getDevice() const override { return pretend; }
  Device exchangeDevice(Device) const override { return pretend; }
  DeviceIndex deviceCount() const noexcept override { return 1; }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, pretend); }
  Stream getNewStream(Device, int) const override { return Stream(Stream::DEFAULT, pretend); }
  Stream getDefaultStream(Device) const override { return Stream(Stream::DEFAULT, pretend); }
  Stream exchangeStream(Stream) const noexcept override { return Stream(Stream::DEFAULT, pretend); }
  void record(void**, const Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  void synchronizeDevice(const DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks final : at::PrivateUse1HooksInterface {
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  bool isAvailable() const override { return true; }
};
const int registered = (at::RegisterPrivateUse1HooksInterface(new Hooks()), 0);

Tensor tensor_of(c10::Storage storage, const Tensor& like, DispatchKey key) {
  auto result = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), DispatchKeySet(key), like.dtype());
  auto* impl = result.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return result;
}

// The same memory, as a tensor of the CPU or of the device; `bytes` of it are new to the device.
Tensor renamed(const Tensor& t, Device device, long bytes = 0) {
  take(bytes);
  auto held = new Held{{}, t.storage(), bytes};
  c10::DataPtr pointer(held->storage.mutable_data(), held, &Held::free, device);
  auto* allocator = device == cpu ? c10::GetCPUAllocator() : &memory;
  auto storage = c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), t.storage().nbytes(), std::move(pointer), allocator, true);
  return tensor_of(storage, t, device == cpu ? DispatchKey::CPU : DispatchKey::PrivateUse1);
}

// The tensors of one call, each with its CPU twin, on the way in and on the way out.
struct Call {
  struct Pair {
    Tensor original, twin;
    const void* data;
  };
  std::vector<Pair> pairs;
  bool on_device = false, cpu_generator = false;
  Tensor stranger;  // a CPU tensor with dimensions, which CUDA does not take beside its own

  Tensor in(const Tensor& t, bool index) {
    if (!ours(t)) {
      if (t.defined() && t.device() == cpu && t.dim() > 0 && !index) stranger = t;
      return t;
    }
    on_device = true;
    for (auto& pair : pairs)
      if (pair.original.is_same(t)) return pair.twin;
    auto twin = renamed(t, cpu);
    pairs.push_back({t, twin, twin.storage().data()});
    return twin;
  }

  Tensor out(const Tensor& t) {
    if (!t.defined() || t.device() != cpu) return t;
    for (auto& pair : pairs) {
      if (pair.twin.is_same(t)) return pair.original;
      if (t.storage().data() == pair.data && pair.data)  // a view
        return tensor_of(pair.original.storage(), t, DispatchKey::PrivateUse1);
    }
    TORCH_CHECK_TYPE(!single || t.scalar_type() != at::kDouble, "Cannot convert a pretend tensor to float64");
    return renamed(t, pretend, t.storage().nbytes());
  }

  // What an operator has done to the size or the memory of a twin.
  void carry_over() {
    for (auto& [original, twin, data] : pairs) {
      auto* impl = original.unsafeGetTensorImpl();
      if (twin.storage().data() != data)
        impl->set_storage_keep_dtype(renamed(twin, pretend, twin.storage().nbytes()).storage());
      if (twin.sizes() != original.sizes() || twin.strides() != original.strides())
        impl->set_sizes_and_strides(twin.sizes(), twin.strides(), twin.storage_offset());
    }
  }
};

void run_on_cpu(const c10::OperatorHandle& op, DispatchKeySet, Stack* stack) {
  const auto& schema = op.schema();
  const bool indexing = schema.name().find("index") != std::string::npos;  // takes indices that lie on the CPU
  Call call;
  const size_t first = stack->size() - schema.arguments().size();
  for (size_t i = first; i < stack->size(); ++i) {
    IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = call.in(value.toTensor(), false);
    } else if (value.isTensorList()) {
      std::vector<Tensor> list;
      for (const Tensor& t : value.toTensorVector()) list.push_back(call.in(t, indexing));
      value = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor>& t : value.toOptionalTensorList())
        list.push_back(t ? std::optional<Tensor>(call.in(*t, indexing)) : std::nullopt);
      value = list;
    } else if (value.isDevice() && value.toDevice().type() == pretend.type()) {
      value = cpu;
      call.on_device = true;
    } else if (value.isGenerator() && value.toGenerator().defined()) {
      call.cpu_generator |= value.toGenerator().device() == cpu;
    }
  }
  TORCH_CHECK(!call.on_device || !call.stranger.defined(), "Expected all tensors to be on the same device, but found ",
      "pretend:0 and, of shape ", call.stranger.defined() ? call.stranger.sizes() : at::IntArrayRef(), ", cpu! (in ", schema.name(), ")");
  TORCH_CHECK(!call.on_device || !call.cpu_generator, "Expected a 'pretend' device type for generator but found 'cpu'");
  TORCH_CHECK(!old, "CUDA error: no kernel image is available for execution on the device (in ", schema.name(), ")");
  ++kernels;
  op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  call.carry_over();
  if (!call.on_device) return;
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); ++i) {
    IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = call.out(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<Tensor> list;
      for (const Tensor& t : value.toTensorVector()) list.push_back(call.out(t));
      value = list;
    }
  }
}

void run_as(const char* name, Stack* stack) {
  run_on_cpu(c10::Dispatcher::singleton().findSchemaOrThrow(name, ""), DispatchKeySet(), stack);
}

void convolution(const c10::OperatorHandle&, DispatchKeySet, Stack* stack) { run_as("aten::convolution", stack); }

void convolution_backward(const c10::OperatorHandle&, DispatchKeySet, Stack* stack) {
  const auto arguments = torch::jit::last(*stack, 10);  // gradient, input, weight, ..., transposed, padding, groups, mask
  const auto weight = arguments[2].toTensor();
  const int64_t outputs = arguments[6].toBool() ? weight.size(1) * arguments[8].toInt() : weight.size(0);
  stack->insert(stack->end() - 7, IValue(std::vector<int64_t>{outputs}));  // the sizes of the bias
  run_as("aten::convolution_backward", stack);
}

void zeros(const c10::OperatorHandle&, DispatchKeySet, Stack* stack) { run_as("aten::zeros", stack); }

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<Device>,
    std::optional<bool>, std::optional<at::MemoryFormat> format) {
  TORCH_CHECK_TYPE(!single || c10::dtype_or_default(dtype) != at::kDouble, "Cannot convert a pretend tensor to float64");
  return at::detail::empty_generic(
      size, &memory, DispatchKeySet(DispatchKey::PrivateUse1), c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>, std::optional<Device>, std::optional<bool>) {
  TORCH_CHECK_TYPE(!single || c10::dtype_or_default(dtype) != at::kDouble, "Cannot convert a pretend tensor to float64");
  return at::detail::empty_strided_generic(
      size, stride, &memory, DispatchKeySet(DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}

Tensor copy(const Tensor& from, const Tensor& to, bool) {
  (ours(to) ? renamed(to, cpu) : to).copy_(ours(from) ? renamed(from, cpu) : from);
  return to;
}

Tensor& set_storage_at(
    Tensor& self, c10::Storage source, int64_t offset, at::IntArrayRef size, at::IntArrayRef stride) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
  return self;
}

Tensor& set_storage(Tensor& self, c10::Storage source) {
  const int64_t size = source.nbytes() / self.itemsize(), stride = 1;
  return set_storage_at(self, std::move(source), 0, size, stride);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>()); }
TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy);
  m.impl("set_.source_Storage", &set_storage);
  m.impl("set_.source_Storage_storage_offset", &set_storage_at);
  m.impl("_efficientzerotensor", torch::CppFunction::makeFromBoxedFunction<&zeros>());
  m.impl("convolution_overrideable", torch::CppFunction::makeFromBoxedFunction<&convolution>());
  m.impl("convolution_backward_overrideable", torch::CppFunction::makeFromBoxedFunction<&convolution_backward>());
}
}  // namespace

extern "C" {
long pretend_used() { return used; }
long pretend_kernels() { return kernels; }
void pretend_limit(long bytes) { limit = bytes; }
void pretend_old(bool yes) { old = yes; }
void pretend_single(bool yes) { single = yes; }
}
