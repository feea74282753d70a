{
  "targets": [
    {
      "target_name": "curvefs_native",
      "sources": ["src/addon.c", "src/channel.c", "src/hub.c", "src/notify.c", "src/jobs.c", "src/files.c"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-std=gnu11", "-Wall", "-Wextra"],
    }
  ]
}
