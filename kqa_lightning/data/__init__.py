"""From a table of questions to packed batches: tables, prompts, encoding, packing, DataModule."""
