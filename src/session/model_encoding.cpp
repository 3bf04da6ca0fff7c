// Gradients that the program encodes itself: how, where to, and that they have come.
#include <cstring>

#include <ps/error.h>
#include <ps/model.h>

#include "session/session_impl.h"

namespace ps {

void Model::Impl::find_encodings() {
  if (found_encodings) return;
  if (!index) {
    throw Error(ErrorCode::kInvalidArgument, "encoding() before start() of model '" + name +
                                                 "': no one knows yet how it is cut");
  }
  const auto asked = session->runtime->submit(
      "encoding()",
      [model = *index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                       cluster::Outbox& out) { worker.encodings(ticket, model, now, out); });
  const std::vector<Encoding> found = asked->wait(std::nullopt).encodings;
  // Where the table that travels is not this one (update = worker), nothing is compressed.
  for (std::size_t i = 0; i < storage.size() && !replica; ++i) {
    storage[i]->encoding = found[i];
    if (found[i].bytes > 0) storage[i]->encoded = encoded.allocate(found[i].bytes);
  }
  found_encodings = true;
}

void Model::Impl::take_encoded(Parameter::Impl& parameter, std::span<const std::byte> bytes) {
  find_encodings();
  if (bytes.size() != parameter.encoding.bytes || bytes.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "push_pull() of '" + parameter.info.name + "': expected " +
            (parameter.encoding.bytes == 0
                 ? "no encoded bytes, since it leaves as it is (encoding())"
                 : std::to_string(parameter.encoding.bytes) + " encoded bytes (encoding())") +
            ", got " + std::to_string(bytes.size()));
  }
  if (accumulator.weight() > 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "push_pull() of '" + parameter.info.name +
                    "' with encoded bytes, to which gradients that accumulate() has put aside "
                    "cannot be added: use gradients()");
  }
  if (!parameter.settled && bytes.data() != parameter.encoded.bytes().data())
    std::memcpy(parameter.encoded.bytes().data(), bytes.data(), bytes.size());
  settle(parameter, As::kEncoded);
}

const Encoding& Parameter::encoding() const {
  impl_->model->find_encodings();
  return impl_->encoding;
}

std::span<std::byte> Parameter::encoded() const {
  impl_->model->find_encodings();
  return impl_->encoded.bytes();
}

void Parameter::push_pull(std::span<const std::byte> bytes) const {
  impl_->model->take_encoded(*impl_, bytes);
}

std::uint64_t Model::step_number() const {
  if (!impl_->in_step) {
    throw Error(ErrorCode::kInvalidArgument, "step_number() of model '" + impl_->name +
                                                 "' outside a step: call begin_step() first");
  }
  const auto asked = impl_->session->runtime->submit(
      "step_number()",
      [model = *impl_->index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                              cluster::Outbox& out) { worker.clock_now(ticket, model, now, out); });
  return asked->wait(std::nullopt).clock;
}

}  // namespace ps
