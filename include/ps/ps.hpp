// All of ps's public API but networks (<ps/nn/nn.h>).
#pragma once

#include <ps/error.h>
#include <ps/local_cluster.h>
#include <ps/model.h>
#include <ps/options.h>
#include <ps/prefetch.h>
#include <ps/safetensors.h>
#include <ps/samples.h>
#include <ps/session.h>
