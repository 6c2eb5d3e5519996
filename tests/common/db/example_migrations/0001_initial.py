from importlib import import_module

Migration = import_module("apps.support.migrations.0001_initial").Migration
