//! What torchvision 0.26 publishes for the architectures of the zoo: the file of each named state dict, and the preprocessing
//! that it was evaluated with (`torchvision.models.get_model_weights(arch)`, `weights.url`, `weights.transforms()`).

use super::NamedWeights;
use crate::core::recipe::Interpolation::{self, Bicubic as BICUBIC, Bilinear as BILINEAR};

const V1: &str = "IMAGENET1K_V1";
const V2: &str = "IMAGENET1K_V2";

/// All of them, by architecture; `DEFAULT` is the one marked.
#[rustfmt::skip]
pub(super) const TABLE: &[NamedWeights] = &[
    w("alexnet", V1, true, "alexnet-owt-7be5be79.pth", 256, 224, BILINEAR),
    w("vgg11", V1, true, "vgg11-8a719046.pth", 256, 224, BILINEAR),
    w("vgg13", V1, true, "vgg13-19584684.pth", 256, 224, BILINEAR),
    w("vgg16", V1, true, "vgg16-397923af.pth", 256, 224, BILINEAR),
    w("vgg16", "IMAGENET1K_FEATURES", false, "vgg16_features-amdegroot-88682ab5.pth", 256, 224, BILINEAR),
    w("vgg19", V1, true, "vgg19-dcbb9e9d.pth", 256, 224, BILINEAR),
    w("vgg11_bn", V1, true, "vgg11_bn-6002323d.pth", 256, 224, BILINEAR),
    w("vgg13_bn", V1, true, "vgg13_bn-abd245e5.pth", 256, 224, BILINEAR),
    w("vgg16_bn", V1, true, "vgg16_bn-6c64b313.pth", 256, 224, BILINEAR),
    w("vgg19_bn", V1, true, "vgg19_bn-c79401a0.pth", 256, 224, BILINEAR),
    w("resnet18", V1, true, "resnet18-f37072fd.pth", 256, 224, BILINEAR),
    w("resnet34", V1, true, "resnet34-b627a593.pth", 256, 224, BILINEAR),
    w("resnet50", V1, false, "resnet50-0676ba61.pth", 256, 224, BILINEAR),
    w("resnet50", V2, true, "resnet50-11ad3fa6.pth", 232, 224, BILINEAR),
    w("resnet101", V1, false, "resnet101-63fe2227.pth", 256, 224, BILINEAR),
    w("resnet101", V2, true, "resnet101-cd907fc2.pth", 232, 224, BILINEAR),
    w("resnet152", V1, false, "resnet152-394f9c45.pth", 256, 224, BILINEAR),
    w("resnet152", V2, true, "resnet152-f82ba261.pth", 232, 224, BILINEAR),
    w("resnext50_32x4d", V1, false, "resnext50_32x4d-7cdf4587.pth", 256, 224, BILINEAR),
    w("resnext50_32x4d", V2, true, "resnext50_32x4d-1a0047aa.pth", 232, 224, BILINEAR),
    w("resnext101_32x8d", V1, false, "resnext101_32x8d-8ba56ff5.pth", 256, 224, BILINEAR),
    w("resnext101_32x8d", V2, true, "resnext101_32x8d-110c445d.pth", 232, 224, BILINEAR),
    w("resnext101_64x4d", V1, true, "resnext101_64x4d-173b62eb.pth", 232, 224, BILINEAR),
    w("wide_resnet50_2", V1, false, "wide_resnet50_2-95faca4d.pth", 256, 224, BILINEAR),
    w("wide_resnet50_2", V2, true, "wide_resnet50_2-9ba9bcbe.pth", 232, 224, BILINEAR),
    w("wide_resnet101_2", V1, false, "wide_resnet101_2-32ee1156.pth", 256, 224, BILINEAR),
    w("wide_resnet101_2", V2, true, "wide_resnet101_2-d733dc28.pth", 232, 224, BILINEAR),
    w("densenet121", V1, true, "densenet121-a639ec97.pth", 256, 224, BILINEAR),
    w("densenet161", V1, true, "densenet161-8d451a50.pth", 256, 224, BILINEAR),
    w("densenet169", V1, true, "densenet169-b2777c0a.pth", 256, 224, BILINEAR),
    w("densenet201", V1, true, "densenet201-c1103571.pth", 256, 224, BILINEAR),
    w("squeezenet1_0", V1, true, "squeezenet1_0-b66bff10.pth", 256, 224, BILINEAR),
    w("squeezenet1_1", V1, true, "squeezenet1_1-b8a52dc0.pth", 256, 224, BILINEAR),
    w("mobilenet_v2", V1, false, "mobilenet_v2-b0353104.pth", 256, 224, BILINEAR),
    w("mobilenet_v2", V2, true, "mobilenet_v2-7ebf99e0.pth", 232, 224, BILINEAR),
    w("mobilenet_v3_small", V1, true, "mobilenet_v3_small-047dcff4.pth", 256, 224, BILINEAR),
    w("mobilenet_v3_large", V1, false, "mobilenet_v3_large-8738ca79.pth", 256, 224, BILINEAR),
    w("mobilenet_v3_large", V2, true, "mobilenet_v3_large-5c1a4163.pth", 232, 224, BILINEAR),
    w("efficientnet_b0", V1, true, "efficientnet_b0_rwightman-7f5810bc.pth", 256, 224, BICUBIC),
    w("efficientnet_b1", V1, false, "efficientnet_b1_rwightman-bac287d4.pth", 256, 240, BICUBIC),
    w("efficientnet_b1", V2, true, "efficientnet_b1-c27df63c.pth", 255, 240, BILINEAR),
    w("efficientnet_b2", V1, true, "efficientnet_b2_rwightman-c35c1473.pth", 288, 288, BICUBIC),
    w("efficientnet_b3", V1, true, "efficientnet_b3_rwightman-b3899882.pth", 320, 300, BICUBIC),
    w("efficientnet_b4", V1, true, "efficientnet_b4_rwightman-23ab8bcd.pth", 384, 380, BICUBIC),
    w("efficientnet_b5", V1, true, "efficientnet_b5_lukemelas-1a07897c.pth", 456, 456, BICUBIC),
    w("efficientnet_b6", V1, true, "efficientnet_b6_lukemelas-24a108a5.pth", 528, 528, BICUBIC),
    w("efficientnet_b7", V1, true, "efficientnet_b7_lukemelas-c5b4e57e.pth", 600, 600, BICUBIC),
    w("convnext_tiny", V1, true, "convnext_tiny-983f1562.pth", 236, 224, BILINEAR),
    w("convnext_small", V1, true, "convnext_small-0c510722.pth", 230, 224, BILINEAR),
    w("convnext_base", V1, true, "convnext_base-6075fbad.pth", 232, 224, BILINEAR),
    w("convnext_large", V1, true, "convnext_large-ea097f82.pth", 232, 224, BILINEAR),
    w("vit_b_16", V1, true, "vit_b_16-c867db91.pth", 256, 224, BILINEAR),
    w("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", false, "vit_b_16_swag-9ac1b537.pth", 384, 384, BICUBIC),
    w("vit_b_16", "IMAGENET1K_SWAG_LINEAR_V1", false, "vit_b_16_lc_swag-4e70ced5.pth", 224, 224, BICUBIC),
    w("vit_b_32", V1, true, "vit_b_32-d86f8d99.pth", 256, 224, BILINEAR),
    w("vit_l_16", V1, true, "vit_l_16-852ce7e3.pth", 242, 224, BILINEAR),
    w("vit_l_16", "IMAGENET1K_SWAG_E2E_V1", false, "vit_l_16_swag-4f3808c9.pth", 512, 512, BICUBIC),
    w("vit_l_16", "IMAGENET1K_SWAG_LINEAR_V1", false, "vit_l_16_lc_swag-4d563306.pth", 224, 224, BICUBIC),
];

const fn w(
    arch: &'static str,
    name: &'static str,
    default: bool,
    file: &'static str,
    resize_size: usize,
    crop_size: usize,
    interpolation: Interpolation,
) -> NamedWeights {
    NamedWeights { arch, name, default, file, resize_size, crop_size, interpolation }
}
