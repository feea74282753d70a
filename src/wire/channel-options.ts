import type { ChannelOptions } from '@grpc/grpc-js';

/** Frames of the session stream are cut at this size, so that a small reply never waits long behind a large one. */
export const FRAME_BYTES_MAX = 256 * 1024;

/**
 * Options of every gRPC channel and server of ours. The flow-control window holds many frames: with the default of 64 KiB a small
 * reply behind a large one waits for round trips. Keepalive finds a dead peer in 15 s, before a session (20 s) expires.
 */
export const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc-node.flow_control_window': 16 * 1024 * 1024,
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
  'grpc.max_send_message_length': 16 * 1024 * 1024,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1_000,
};
