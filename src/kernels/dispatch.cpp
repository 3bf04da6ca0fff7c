// The tables of every instruction set, by name. Compiled without extra flags.
#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/aligned_loss.h"
#include "kernels/anchor_loss.h"
#include "kernels/batch_norm.h"
#include "kernels/bias.h"
#include "kernels/convolution.h"
#include "kernels/decode.h"
#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "kernels/join.h"
#include "kernels/linear.h"
#include "kernels/nms.h"
#include "kernels/pad.h"
#include "kernels/pool.h"
#include "kernels/softmax_cross_entropy.h"
#include "kernels/upsample.h"

namespace ps::kernels {

PS_ISA_DISPATCH(ActivationOps, activation)
PS_ISA_DISPATCH(AddOps, add)
PS_ISA_DISPATCH(AlignedLossOps, aligned_loss)
PS_ISA_DISPATCH(AnchorLossOps, anchor_loss)
PS_ISA_DISPATCH(AveragePoolOps, average_pool)
PS_ISA_DISPATCH(BatchNormOps, batch_norm)
PS_ISA_DISPATCH(BiasOps, bias)
PS_ISA_DISPATCH(ConvolutionOps, convolution)
PS_ISA_DISPATCH(DecodeOps, decode)
PS_ISA_DISPATCH(GemmOps, gemm)
PS_ISA_DISPATCH(JoinOps, join)
PS_ISA_DISPATCH(LinearOps, linear)
PS_ISA_DISPATCH(MaxPoolOps, max_pool)
PS_ISA_DISPATCH(NmsOps, nms)
PS_ISA_DISPATCH(PadOps, pad)
PS_ISA_DISPATCH(SoftmaxCrossEntropyOps, softmax_cross_entropy)
PS_ISA_DISPATCH(UpsampleOps, upsample)

}  // namespace ps::kernels
