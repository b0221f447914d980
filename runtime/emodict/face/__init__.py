"""Pictures in, face features out: of a camera, a video or a session, one row a second."""
