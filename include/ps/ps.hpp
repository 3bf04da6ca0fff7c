// All of ps's public API but networks (<ps/nn/nn.h>).
#pragma once

#include <ps/compression.h>
#include <ps/consistency.h>
#include <ps/encoding.h>
#include <ps/error.h>
#include <ps/local_cluster.h>
#include <ps/loss_scale.h>
#include <ps/measures.h>
#include <ps/model.h>
#include <ps/optimizers.h>
#include <ps/options.h>
#include <ps/pending.h>
#include <ps/prefetch.h>
#include <ps/safetensors.h>
#include <ps/samples.h>
#include <ps/session.h>
#include <ps/trace.h>
#include <ps/update_rule.h>
