"""The registry of one workspace: model folders, ledger, live manifests; MLflow follows.

Order of a promotion: prove the folder, write the ledger's entry, write the live manifest, point MLflow's aliases. The
ledger's entry is the decision, the live manifest the effect and the truth about who answers. Killed in between, the
decision stands and the old champion answers; the next registration, promotion or rollback of the use case first carries
the decision out, so repeating the killed command completes it and does nothing twice. A store that MLflow cannot reach
delays what people see there, and neither a promotion nor a rollback.

Read downwards: ``reading`` says what stands, ``effects`` carries decisions out, ``registering`` makes versions, and
``decisions`` gives, moves and bars their aliases.
"""

from trunkline.registry.store.decisions import Registry

__all__ = ["Registry"]
