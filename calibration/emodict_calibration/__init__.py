"""Numbers fitted after training: what may run in FP16 or INT8, a person's baseline,
and the output's temperature.
"""
