"""The oracle: is your sampler, your gradient, your log Z right - and if not, what is wrong?

Nothing in this folder imports anything of ours but the errors: the judge is not the judged.
"""
