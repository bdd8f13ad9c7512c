"""Any clip to MP4, 30 frames a second; frames by number."""
