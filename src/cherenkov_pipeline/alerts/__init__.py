"""Is a trigger of SVOM/ECLAIRs a real source? Sub-images, models that judge them, the verdict and its service."""
