"""The part of libvpx's binary interface that VP8 needs, declared by hand.

Written after the public headers ``vpx_codec.h``, ``vpx_image.h``, ``vpx_encoder.h``,
``vpx_decoder.h``, ``vp8cx.h``.  No compiler checks it, so :mod:`ringline.media.codecs.libvpx`
does: versions outside of the allow-list are refused, and the layout is compared with what the
library writes into it.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

__all__ = [
    "BUFFER_IS_I420",
    "CONFIG_TAIL_BYTES",
    "DEADLINE_REALTIME",
    "DECLARATIONS",
    "DECODER_ABI",
    "ERROR_RESILIENT",
    "KEY_FRAMES_ON_DEMAND",
    "PACKET_IS_FRAME",
    "RATE_CONTROL_CBR",
    "Control",
    "EncodeFlag",
    "encoder_abi",
]

BUFFER_IS_I420: Final = 0x102
PACKET_IS_FRAME: Final = 0
RATE_CONTROL_CBR: Final = 1
KEY_FRAMES_ON_DEMAND: Final = 0  # VPX_KF_DISABLED: the encoder places none by itself
ERROR_RESILIENT: Final = 1
DEADLINE_REALTIME: Final = 1
DECODER_ABI: Final = 12

CONFIG_TAIL_BYTES: Final = 124
"""What follows ``temporal_layering_mode``: an int and 15 rationals, for VP9's two-pass mode."""


class Control(IntEnum):
    """Requests of ``vpx_codec_control_``; setters take an int, getters a pointer to one."""

    SET_CPU_USED = 13
    SET_NOISE_SENSITIVITY = 15
    SET_STATIC_THRESHOLD = 17
    SET_TOKEN_PARTITIONS = 18
    GET_LAST_QUANTIZER = 19
    SET_MAX_INTRA_BITRATE_PERCENT = 26


class EncodeFlag(IntFlag):
    """Flags of ``vpx_codec_encode``: what one frame may refer to and what it refreshes."""

    FORCE_KEY = 1 << 0
    NO_REFERENCE_LAST = 1 << 16
    NO_REFERENCE_GOLDEN = 1 << 17
    NO_UPDATE_LAST = 1 << 18
    FORCE_GOLDEN = 1 << 19
    NO_REFERENCE_ALTERNATE = 1 << 21
    NO_UPDATE_GOLDEN = 1 << 22
    NO_UPDATE_ALTERNATE = 1 << 23
    FORCE_ALTERNATE = 1 << 24


# ``VPX_ENCODER_ABI_VERSION`` of each release.  It cannot be found by trying: a library accepts
# every number up to its own, so success would prove nothing.
_ENCODER_ABI: Final[dict[tuple[int, int], int]] = {
    (1, 11): 25,
    (1, 12): 25,
    (1, 13): 30,
    (1, 14): 34,
    (1, 15): 37,  # 1.15.1 and later; 1.15.0 is below
    (1, 16): 39,
    (1, 17): 39,
}


def encoder_abi(version: int) -> int | None:
    """Return the ABI number to give to the encoder, or :obj:`None` for an unknown release.

    Args:
        version: As ``vpx_codec_version()`` packs it: 0x10c00 is 1.12.0.

    """
    major, minor, patch = version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF
    if (major, minor, patch) == (1, 15, 0):
        return 36
    return _ENCODER_ABI.get((major, minor))


# Two structs end in spare bytes, so that a library whose struct is longer than ours cannot write
# past the end of what we allocated.
DECLARATIONS: Final = """
typedef struct {
    const char *name;
    const void *iface;
    int err;
    const char *err_detail;
    long init_flags;
    const void *config;
    void *priv;
    char spare[64];
} vpx_codec_ctx_t;

typedef struct { void *buf; size_t sz; } vpx_fixed_buf_t;
typedef struct { int num; int den; } vpx_rational_t;

typedef struct {
    int fmt;
    int cs;
    int range;
    unsigned int w, h;
    unsigned int bit_depth;
    unsigned int d_w, d_h;
    unsigned int r_w, r_h;
    unsigned int x_chroma_shift, y_chroma_shift;
    unsigned char *planes[4];
    int stride[4];
    int bps;
    void *user_priv;
    unsigned char *img_data;
    int img_data_owner;
    int self_allocd;
    void *fb_priv;
} vpx_image_t;

typedef struct {
    unsigned int g_usage;
    unsigned int g_threads;
    unsigned int g_profile;
    unsigned int g_w;
    unsigned int g_h;
    int g_bit_depth;
    unsigned int g_input_bit_depth;
    vpx_rational_t g_timebase;
    uint32_t g_error_resilient;
    int g_pass;
    unsigned int g_lag_in_frames;
    unsigned int rc_dropframe_thresh;
    unsigned int rc_resize_allowed;
    unsigned int rc_scaled_width;
    unsigned int rc_scaled_height;
    unsigned int rc_resize_up_thresh;
    unsigned int rc_resize_down_thresh;
    int rc_end_usage;
    vpx_fixed_buf_t rc_twopass_stats_in;
    vpx_fixed_buf_t rc_firstpass_mb_stats_in;
    unsigned int rc_target_bitrate;
    unsigned int rc_min_quantizer;
    unsigned int rc_max_quantizer;
    unsigned int rc_undershoot_pct;
    unsigned int rc_overshoot_pct;
    unsigned int rc_buf_sz;
    unsigned int rc_buf_initial_sz;
    unsigned int rc_buf_optimal_sz;
    unsigned int rc_2pass_vbr_bias_pct;
    unsigned int rc_2pass_vbr_minsection_pct;
    unsigned int rc_2pass_vbr_maxsection_pct;
    unsigned int rc_2pass_vbr_corpus_complexity;
    int kf_mode;
    unsigned int kf_min_dist;
    unsigned int kf_max_dist;
    unsigned int ss_number_layers;
    int ss_enable_auto_alt_ref[5];
    unsigned int ss_target_bitrate[5];
    unsigned int ts_number_layers;
    unsigned int ts_target_bitrate[5];
    unsigned int ts_rate_decimator[5];
    unsigned int ts_periodicity;
    unsigned int ts_layer_id[16];
    unsigned int layer_target_bitrate[12];
    int temporal_layering_mode;
    char spare[512];
} vpx_codec_enc_cfg_t;

typedef struct {
    int kind;
    union {
        struct {
            void *buf;
            size_t sz;
            int64_t pts;
            unsigned long duration;
            uint32_t flags;
            int partition_id;
        } frame;
        char pad[124];
    } data;
} vpx_codec_cx_pkt_t;

typedef struct { unsigned int threads, w, h; } vpx_codec_dec_cfg_t;

int vpx_codec_version(void);
const char *vpx_codec_version_str(void);
const char *vpx_codec_err_to_string(int err);
const char *vpx_codec_error_detail(vpx_codec_ctx_t *ctx);
int vpx_codec_destroy(vpx_codec_ctx_t *ctx);
int vpx_codec_control_(vpx_codec_ctx_t *ctx, int id, ...);

const void *vpx_codec_vp8_cx(void);
int vpx_codec_enc_config_default(const void *iface, vpx_codec_enc_cfg_t *cfg, unsigned int usage);
int vpx_codec_enc_init_ver(vpx_codec_ctx_t *ctx, const void *iface,
                           const vpx_codec_enc_cfg_t *cfg, long flags, int version);
int vpx_codec_enc_config_set(vpx_codec_ctx_t *ctx, const vpx_codec_enc_cfg_t *cfg);
int vpx_codec_encode(vpx_codec_ctx_t *ctx, const vpx_image_t *img, int64_t pts,
                     unsigned long duration, long flags, unsigned long deadline);
const vpx_codec_cx_pkt_t *vpx_codec_get_cx_data(vpx_codec_ctx_t *ctx, const void **iter);

const void *vpx_codec_vp8_dx(void);
int vpx_codec_dec_init_ver(vpx_codec_ctx_t *ctx, const void *iface,
                           const vpx_codec_dec_cfg_t *cfg, long flags, int version);
int vpx_codec_decode(vpx_codec_ctx_t *ctx, const uint8_t *data, unsigned int size,
                     void *user_priv, long deadline);
vpx_image_t *vpx_codec_get_frame(vpx_codec_ctx_t *ctx, const void **iter);

vpx_image_t *vpx_img_wrap(vpx_image_t *img, int fmt, unsigned int d_w, unsigned int d_h,
                          unsigned int align, unsigned char *data);
"""
