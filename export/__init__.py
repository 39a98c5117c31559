"""From a checkpoint or training data to a bundle that Triton serves. `commands.py` lists the commands.

bundle/       checkpoint -> ONNX graph -> checked bundle
repository/   install a bundle in a model repository, go back, and what Triton reads from it
training/     fine-tune a classifier
encoders/     what training starts from
calibration/  temperature of a classifier, cutoffs of a policy
evaluation/   how good a classifier is
outcomes/     what two models made of the same prompts: measure, collect and learn from it
labelling/    decision logs to labelled prompts
classifier/   open a bundle, score texts, read prompt files
pages/        HTML reports and plots
recipe/       how the bundled classifiers were made
"""
