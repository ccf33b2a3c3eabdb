"""int8 for OpenVINO, by NNCF."""
