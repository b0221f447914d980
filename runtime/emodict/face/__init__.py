"""Faces: pictures of a camera, a video or a session in, one row of face features a second out."""
