// The fields of every control message by name: the one table that encoding, decoding and the tests
// share; docs/protocol.md lists the same. Fields of an object are matched by name, variants and
// enumerations travel as names.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include "wire/control.h"

namespace ps::wire {

template <class T, class M>
struct Field {
  const char* name;
  M T::*member;
};
template <class T, class M>
Field(const char*, M T::*) -> Field<T, M>;

// A tuple of Field for each struct below; nothing else can be encoded.
template <class T>
inline constexpr std::nullptr_t kFields = nullptr;

// An array of (value, name) for each enumeration below.
template <class E>
inline constexpr std::nullptr_t kNames = nullptr;

template <class E, std::size_t N>
using NameTable = std::array<std::pair<E, const char*>, N>;

// The name under which a variant's alternative travels, in its field "kind".
inline const char* kind_name(const Consistency& mode) noexcept {
  return mode_name(mode);
}
inline const char* kind_name(const Optimizer& optimizer) noexcept {
  return optimizer_name(optimizer);
}
inline const char* kind_name(const Control& control) noexcept {
  return control_name(control);
}

// --- Options -----------------------------------------------------------------------------------

template <>
inline constexpr auto kNames<Compensation> =
    NameTable<Compensation, 3>{{{Compensation::kNone, "none"},
                                {Compensation::kConstant, "constant"},
                                {Compensation::kAdaptive, "adaptive"}}};
template <>
inline constexpr auto kNames<Finite> =
    NameTable<Finite, 2>{{{Finite::kMessage, "message"}, {Finite::kStep, "step"}}};
template <>
inline constexpr auto kNames<Update> = NameTable<Update, 3>{
    {{Update::kServer, "server"}, {Update::kWorker, "worker"}, {Update::kAllReduce, "allreduce"}}};
template <>
inline constexpr auto kFields<Sync> = std::tuple(Field{"backup_workers", &Sync::backup_workers});
template <>
inline constexpr auto kFields<Async> = std::tuple(Field{"staleness_aware", &Async::staleness_aware},
                                                  Field{"max_staleness", &Async::max_staleness},
                                                  Field{"compensation", &Async::compensation},
                                                  Field{"lambda", &Async::lambda},
                                                  Field{"decay", &Async::decay},
                                                  Field{"pushes_per_update",
                                                        &Async::pushes_per_update});
template <>
inline constexpr auto kFields<Ssp> = std::tuple(Field{"staleness", &Ssp::staleness},
                                                Field{"staleness_aware", &Ssp::staleness_aware});
template <>
inline constexpr auto kFields<LocalSgd> =
    std::tuple(Field{"steps", &LocalSgd::steps},
               Field{"average_state", &LocalSgd::average_state},
               Field{"start_samples", &LocalSgd::start_samples});
template <>
inline constexpr auto kFields<Easgd> = std::tuple(Field{"period", &Easgd::period},
                                                  Field{"alpha", &Easgd::alpha});
template <>
inline constexpr auto kFields<Sgd> = std::tuple(Field{"lr", &Sgd::lr},
                                                Field{"momentum", &Sgd::momentum},
                                                Field{"nesterov", &Sgd::nesterov},
                                                Field{"weight_decay", &Sgd::weight_decay});
template <>
inline constexpr auto kFields<Adam> = std::tuple(Field{"lr", &Adam::lr},
                                                 Field{"beta1", &Adam::beta1},
                                                 Field{"beta2", &Adam::beta2},
                                                 Field{"epsilon", &Adam::epsilon},
                                                 Field{"weight_decay", &Adam::weight_decay});
template <>
inline constexpr auto kFields<AdamW> = std::tuple(Field{"lr", &AdamW::lr},
                                                  Field{"beta1", &AdamW::beta1},
                                                  Field{"beta2", &AdamW::beta2},
                                                  Field{"epsilon", &AdamW::epsilon},
                                                  Field{"weight_decay", &AdamW::weight_decay});
template <>
inline constexpr auto kFields<Adagrad> = std::tuple(Field{"lr", &Adagrad::lr},
                                                    Field{"epsilon", &Adagrad::epsilon},
                                                    Field{"weight_decay", &Adagrad::weight_decay});
template <>
inline constexpr auto kFields<RmsProp> = std::tuple(Field{"lr", &RmsProp::lr},
                                                    Field{"alpha", &RmsProp::alpha},
                                                    Field{"epsilon", &RmsProp::epsilon},
                                                    Field{"momentum", &RmsProp::momentum},
                                                    Field{"weight_decay", &RmsProp::weight_decay});
template <>
inline constexpr auto kFields<Lars> = std::tuple(Field{"lr", &Lars::lr},
                                                 Field{"momentum", &Lars::momentum},
                                                 Field{"weight_decay", &Lars::weight_decay},
                                                 Field{"eta", &Lars::eta},
                                                 Field{"epsilon", &Lars::epsilon});
template <>
inline constexpr auto kFields<Lamb> = std::tuple(Field{"lr", &Lamb::lr},
                                                 Field{"beta1", &Lamb::beta1},
                                                 Field{"beta2", &Lamb::beta2},
                                                 Field{"epsilon", &Lamb::epsilon},
                                                 Field{"weight_decay", &Lamb::weight_decay});
template <>
inline constexpr auto kFields<Ftrl> = std::tuple(Field{"lr", &Ftrl::lr},
                                                 Field{"beta", &Ftrl::beta},
                                                 Field{"l1", &Ftrl::l1},
                                                 Field{"l2", &Ftrl::l2});
template <>
inline constexpr auto kFields<CustomRule> = std::tuple(Field{"name", &CustomRule::name},
                                                       Field{"lr", &CustomRule::lr},
                                                       Field{"weight_decay",
                                                             &CustomRule::weight_decay},
                                                       Field{"settings", &CustomRule::settings});
template <>
inline constexpr auto kFields<Ema> = std::tuple(Field{"decay", &Ema::decay},
                                                Field{"tau", &Ema::tau});
template <>
inline constexpr auto kNames<Compression::Push> =
    NameTable<Compression::Push, 7>{{{Compression::Push::kNone, "none"},
                                     {Compression::Push::kFp16, "fp16"},
                                     {Compression::Push::kBf16, "bf16"},
                                     {Compression::Push::kInt8, "int8"},
                                     {Compression::Push::kInt8Stochastic, "int8-stochastic"},
                                     {Compression::Push::kTopK, "topk"},
                                     {Compression::Push::kSign, "sign"}}};
template <>
inline constexpr auto kNames<Compression::Pull> =
    NameTable<Compression::Pull, 3>{{{Compression::Pull::kNone, "none"},
                                     {Compression::Pull::kFp16, "fp16"},
                                     {Compression::Pull::kBf16, "bf16"}}};
template <>
inline constexpr auto kFields<Compression> = std::tuple(Field{"push", &Compression::push},
                                                        Field{"pull", &Compression::pull},
                                                        Field{"top", &Compression::top});
template <>
inline constexpr auto kNames<Schedule::Kind> =
    NameTable<Schedule::Kind, 4>{{{Schedule::Kind::kConstant, "constant"},
                                  {Schedule::Kind::kStep, "step"},
                                  {Schedule::Kind::kLinear, "linear"},
                                  {Schedule::Kind::kCosine, "cosine"}}};
template <>
inline constexpr auto kFields<Schedule> =
    std::tuple(Field{"kind", &Schedule::kind},
               Field{"warmup_samples", &Schedule::warmup_samples},
               Field{"warmup_start", &Schedule::warmup_start},
               Field{"total_samples", &Schedule::total_samples},
               Field{"step_samples", &Schedule::step_samples},
               Field{"step_gamma", &Schedule::step_gamma},
               Field{"final_factor", &Schedule::final_factor},
               Field{"epoch_samples", &Schedule::epoch_samples},
               Field{"decay_from_start", &Schedule::decay_from_start},
               Field{"warmup_power", &Schedule::warmup_power},
               Field{"warmup_momentum", &Schedule::warmup_momentum});
template <>
inline constexpr auto kFields<ParameterGroup> =
    std::tuple(Field{"pattern", &ParameterGroup::pattern},
               Field{"lr_scale", &ParameterGroup::lr_scale},
               Field{"weight_decay", &ParameterGroup::weight_decay},
               Field{"warmup_start", &ParameterGroup::warmup_start});
template <>
inline constexpr auto kNames<Reduce> =
    NameTable<Reduce, 2>{{{Reduce::kMean, "mean"}, {Reduce::kSum, "sum"}}};
template <>
inline constexpr auto kFields<ModelOptions> =
    std::tuple(Field{"mode", &ModelOptions::mode},
               Field{"optimizer", &ModelOptions::optimizer},
               Field{"schedule", &ModelOptions::schedule},
               Field{"groups", &ModelOptions::groups},
               Field{"reduce", &ModelOptions::reduce},
               Field{"clip_norm", &ModelOptions::clip_norm},
               Field{"finite", &ModelOptions::finite},
               Field{"update", &ModelOptions::update},
               Field{"ema", &ModelOptions::ema},
               Field{"compression", &ModelOptions::compression},
               Field{"measure", &ModelOptions::measure},
               Field{"chunk_bytes", &ModelOptions::chunk_bytes});

// --- What the cluster consists of --------------------------------------------------------------

template <>
inline constexpr auto kNames<Role> = NameTable<Role, 3>{
    {{Role::kScheduler, "scheduler"}, {Role::kServer, "server"}, {Role::kWorker, "worker"}}};
template <>
inline constexpr auto kNames<ParameterKind> =
    NameTable<ParameterKind, 4>{{{ParameterKind::kTrained, "trained"},
                                 {ParameterKind::kAverage, "average"},
                                 {ParameterKind::kAssign, "assign"},
                                 {ParameterKind::kAdd, "add"}}};
template <>
inline constexpr auto kFields<ParameterInfo> = std::tuple(Field{"name", &ParameterInfo::name},
                                                          Field{"shape", &ParameterInfo::shape},
                                                          Field{"kind", &ParameterInfo::kind});
template <>
inline constexpr auto kFields<ModelInfo> = std::tuple(Field{"id", &ModelInfo::id},
                                                      Field{"name", &ModelInfo::name},
                                                      Field{"options", &ModelInfo::options},
                                                      Field{"parameters", &ModelInfo::parameters},
                                                      Field{"placement", &ModelInfo::placement},
                                                      Field{"ready", &ModelInfo::ready});
template <>
inline constexpr auto kNames<WorkerInfo::State> =
    NameTable<WorkerInfo::State, 4>{{{WorkerInfo::State::kAbsent, "absent"},
                                     {WorkerInfo::State::kAlive, "alive"},
                                     {WorkerInfo::State::kDead, "dead"},
                                     {WorkerInfo::State::kLeft, "left"}}};
template <>
inline constexpr auto kFields<WorkerInfo> =
    std::tuple(Field{"incarnation", &WorkerInfo::incarnation}, Field{"state", &WorkerInfo::state});
template <>
inline constexpr auto kFields<ShardInfo> = std::tuple(Field{"endpoint", &ShardInfo::endpoint},
                                                      Field{"incarnation",
                                                            &ShardInfo::incarnation});
template <>
inline constexpr auto kNames<View::Phase> =
    NameTable<View::Phase, 3>{{{View::Phase::kGathering, "gathering"},
                               {View::Phase::kRunning, "running"},
                               {View::Phase::kStopping, "stopping"}}};

// --- Messages ----------------------------------------------------------------------------------

template <>
inline constexpr auto kFields<View> = std::tuple(Field{"revision", &View::revision},
                                                 Field{"generation", &View::generation},
                                                 Field{"phase", &View::phase},
                                                 Field{"failed", &View::failed},
                                                 Field{"reason", &View::reason},
                                                 Field{"workers", &View::workers},
                                                 Field{"shards", &View::shards},
                                                 Field{"models", &View::models});
template <>
inline constexpr auto kFields<Join> = std::tuple(Field{"role", &Join::role},
                                                 Field{"index", &Join::index},
                                                 Field{"nonce", &Join::nonce},
                                                 Field{"endpoint", &Join::endpoint},
                                                 Field{"build", &Join::build});
template <>
inline constexpr auto kFields<Register> = std::tuple(Field{"name", &Register::name},
                                                     Field{"options", &Register::options},
                                                     Field{"parameters", &Register::parameters},
                                                     Field{"checkpoint", &Register::checkpoint});
template <>
inline constexpr auto kFields<Allocated> = std::tuple(Field{"model", &Allocated::model});
template <>
inline constexpr auto kFields<Heartbeat> = std::tuple(Field{"revision", &Heartbeat::revision},
                                                      Field{"step", &Heartbeat::step},
                                                      Field{"phase", &Heartbeat::phase});
template <>
inline constexpr auto kFields<Collective> = std::tuple(Field{"index", &Collective::index},
                                                       Field{"values", &Collective::values});
template <>
inline constexpr auto kFields<LeaseRequest> = std::tuple(Field{"index", &LeaseRequest::index},
                                                         Field{"stream", &LeaseRequest::stream},
                                                         Field{"dataset_size",
                                                               &LeaseRequest::dataset_size},
                                                         Field{"block", &LeaseRequest::block},
                                                         Field{"epochs", &LeaseRequest::epochs});
template <>
inline constexpr auto kFields<Consumed> = std::tuple(Field{"rank", &Consumed::rank},
                                                     Field{"round", &Consumed::round},
                                                     Field{"samples", &Consumed::samples});
template <>
inline constexpr auto kNames<RoundPart::Phase> =
    NameTable<RoundPart::Phase, 3>{{{RoundPart::Phase::kTicket, "ticket"},
                                    {RoundPart::Phase::kGradient, "gradient"},
                                    {RoundPart::Phase::kUpdate, "update"}}};
template <>
inline constexpr auto kFields<RoundPart> = std::tuple(Field{"model", &RoundPart::model},
                                                      Field{"round", &RoundPart::round},
                                                      Field{"phase", &RoundPart::phase},
                                                      Field{"ranks", &RoundPart::ranks},
                                                      Field{"consumed", &RoundPart::consumed},
                                                      Field{"finite", &RoundPart::finite},
                                                      Field{"chunks", &RoundPart::chunks},
                                                      Field{"sums", &RoundPart::sums});
template <>
inline constexpr auto kFields<RoundResult> = std::tuple(Field{"model", &RoundResult::model},
                                                        Field{"round", &RoundResult::round},
                                                        Field{"phase", &RoundResult::phase},
                                                        Field{"ranks", &RoundResult::ranks},
                                                        Field{"samples", &RoundResult::samples},
                                                        Field{"finite", &RoundResult::finite},
                                                        Field{"sums", &RoundResult::sums});
template <>
inline constexpr auto kFields<Leave> = std::tuple(Field{"failed", &Leave::failed},
                                                  Field{"reason", &Leave::reason});
template <>
inline constexpr auto kFields<Joined> = std::tuple(Field{"incarnation", &Joined::incarnation});
template <>
inline constexpr auto kFields<Refused> = std::tuple(Field{"code", &Refused::code},
                                                    Field{"text", &Refused::text});
template <>
inline constexpr auto kFields<HeartbeatAck> = std::tuple(Field{"revision",
                                                               &HeartbeatAck::revision});
template <>
inline constexpr auto kFields<CollectiveResult> = std::tuple(
    Field{"index", &CollectiveResult::index}, Field{"values", &CollectiveResult::values});
template <>
inline constexpr auto kFields<LeaseGrant> = std::tuple(Field{"index", &LeaseGrant::index},
                                                       Field{"done", &LeaseGrant::done},
                                                       Field{"epoch", &LeaseGrant::epoch},
                                                       Field{"begin", &LeaseGrant::begin},
                                                       Field{"end", &LeaseGrant::end});

}  // namespace ps::wire
