"""Command lines that are wrong, and what is said of them; dots stand for anything."""

ROOT = "corpus=manifest corpus.root=$recordings"
STORE = "data=store data.store=$store data.batch_size=8"
SEVERAL = "data=store data.store=$several data.batch_size=8"
AUGMENTED = "data/augmentation=default data.augmentation"

# Ended by one sentence of this project.
OURS = [
    # The benchmark
    ("benchmark 'benchmark.against=[lowrnk]'", "There is no model=lowrnk: did you mean lowrank?"),
    (
        "benchmark 'benchmark.against=[tiled@x]'",
        "benchmark.against=tiled@x must name a number of threads behind @, as in tiled@1",
    ),
    ("benchmark 'benchmark.against=[lowrank]'", "benchmark.against names lowrank twice"),
    ("benchmark 'benchmark.frames=[49, 0]'", "benchmark.frames must be at least 1, each of them"),
    (
        "benchmark 'benchmark.batch_size=[]'",
        "benchmark.batch_size=[] names no size: give one or more",
    ),
    ("benchmark benchmark.batch_size=8", "benchmark.batch_size must be a list ... got 8"),
    ("benchmark trainer=cpu trainer.devices=2", "one process, got 2: set trainer.devices=1"),
    (
        "benchmark audio=wavlm",
        "The network reads wavlm, whose shape is not known: ... '+description.streams.wavlm={modal",
    ),
    ("benchmark trainer.precision=64-true", "64-true is not measured: choose one of 32-true, bf16"),
    (
        "benchmark model=sum 'benchmark.roofline={flops: 1e12}'",
        "benchmark.roofline must name FLOPs and bytes per second above 0, as in {flops: 67e12,",
    ),
    (
        "benchmark model=audio_only data.batch_size=2 'benchmark.against=[tiled]'",
        "benchmark.against=[tiled] needs the attention by concatenation: set model/attention=",
    ),
    # Types
    ("train trainer.max_epochs=ten", "trainer.max_epochs must be a whole number ... got 'ten'"),
    ("train trainer.max_epochs=null", "trainer.max_epochs must be a whole number, got null"),
    ("train optimizer.lr=nan", "optimizer.lr must be a number, got nan"),
    ("train seed=abc", "seed must be a whole number, got 'abc'"),
    ("train model.network.fusion=3", "model.network.fusion must be a group of values ... got 3"),
    (
        "train 'model.network.face_encoder.widths=[a, 64]'",
        "model.network.face_encoder.widths must be a list, each a whole number, got ['a', 64]",
    ),
    ("predict ckpt_path=$run input=$sound figures=maybe", "figures must be true or false, got"),
    (f"prepare {ROOT} features.face.size=big", "features.face.size must be a whole number, got"),
    ("train data.splits=many", "data.splits='many' is no plan: give column, fractions or ranges"),
    ("train data.splits=3", "data.splits must be text or named values or null, got 3"),
    (f"prepare {ROOT} corpus.classes=low", "corpus.classes must be a list or null, got 'low'"),
    # Numbers and names
    ("train data.batch_size=0", "data.batch_size must be at least 1, got 0"),
    ("train data.num_workers=-1", "data.num_workers must be at least 0, got -1"),
    ("train data.eval_split=tset", "data.eval_split must be one of ... 'test'), got 'tset'"),
    ("train optimizer.lr=-0.1", "optimizer.lr must be positive and finite, got -0.1"),
    ("train optimizer.lr=0", "optimizer.lr must be positive and finite, got 0"),
    ("train +model.lr_scale.fusion=-1", "model.lr_scale.fusion must be at least 0, got -1"),
    ("train +model.lr_scale.face=0.5", "model.lr_scale has no part 'face': the network"),
    (
        "train model=bottleneck model.network.audio_encoder.pooling=attentive",
        "pooling=attentive learns nothing where tokens meet, which are not pooled: leave it at",
    ),
    ("train scheduler.warmup=2", "scheduler.warmup must lie in [0, 1), got 2"),
    (
        "train model.network.attention.hidden_dim=0",
        "hidden_dim of the attention must be at least 1, got 0",
    ),
    ("train model.network.head.dropout=1.5", "dropout of the head must lie in [0, 1), got 1.5"),
    ("train model.network.fusion.dim=0", "model.network.fusion.dim must be at least 1, got 0"),
    (
        "train model.network.face_encoder.norm_groups=7",
        "multiples of norm_groups=7, got [32, 64, 64]",
    ),
    (
        "train 'model.network.face_encoder.widths=[0, 0]'",
        "model.network.face_encoder.widths must be at least 1, each of them, got [0, 0]",
    ),
    ("train model.network.modality_dropout=1", "modality_dropout must lie in [0, 1), got 1"),
    ("train loss.label_smoothing=2", "loss.label_smoothing must lie in [0, 1), got 2"),
    ("train loss.weights=balancd", "loss.weights must be null, balanced or ... got 'balancd'"),
    (f"train {STORE} 'loss.weights=[1, 2]'", "loss.weights must be ... 8 numbers ... got [1, 2]"),
    (f"train {AUGMENTED}.face.flip=1.5", "augmentation.face.flip must lie in [0, 1], got 1.5"),
    ("train trainer.max_epochs=0", "trainer.max_epochs must be at least 1, got 0"),
    ("train trainer.limit_train_batches=-1", "invalid value -1 for limit_train_batches ... [0.0"),
    ("train trainer.limit_val_batches=0", "trainer.limit_val_batches must be above 0, got 0"),
    ("train trainer.gradient_clip_val=-1", "trainer.gradient_clip_val must be at least 0, got -1"),
    ("train trainer.check_val_every_n_epoch=9", "n_epoch=9 is more than trainer.max_epochs=8"),
    # Losses and labels that are not made for each other
    ("train loss=bce", "BinaryCrossEntropy is for clips of several classes ... set loss=cross_en"),
    (f"train {STORE} loss=bce", "clips of several classes, and these ... set loss=cross_entropy"),
    (f"train {SEVERAL}", "CrossEntropy is for clips of one class ... these ... set loss=bce"),
    (f"train {SEVERAL} loss=focal", "Focal is for clips of one class ... set loss=bce"),
    (f"train {SEVERAL} loss=bce model=seed2017", "Seed2017 answers with ... choose another model"),
    (
        f"train {SEVERAL} loss=bce 'loss.weights=[1, 2]'",
        "must be null ... 3 numbers ... got [1, 2]",
    ),
    (
        "train target=multi_label loss=bce",
        "cocktail_party has one class, and the target",
    ),
    (f"train {STORE} target=multi_label loss=bce", "has one class, and ... several classes: prep"),
    (f"train {SEVERAL} target=single_label", "has several classes ... of one class: prepare"),
    (f"eval ckpt_path=$run {SEVERAL}", "has several classes ... one class: ... multilabel=false"),
    ("prepare corpus=manifest corpus.root=$twice", "Line 2 ... 'a|b|a', which names a twice: once"),
    # What is monitored
    (f"train {STORE} monitor=val/subset_accuracy", "is no metric of this run ... macro_f1"),
    (f"train {SEVERAL} loss=bce monitor=val/f1", "no metric ... accuracy ... mean_average_precis"),
    ("train callbacks.early_stopping.monitor=val/los", "early_stopping.monitor=val/los is no met"),
    ("train callbacks.early_stopping.mode=up", "mode must be min or max, got up"),
    ("train mode=min", "mode=min would keep the worst val/accuracy: use mode=max"),
    (f"train {STORE} monitor=val/accuracy_smug", "val/accuracy_smug is no ... accuracy_happy"),
    (
        "train callbacks.clip_images=false",
        "callbacks.clip_images must be a group of values, got False: write callbacks.clip_images=n",
    ),
    (
        "predict ckpt_path=$run input=$sound windows=false",
        "windows must be named values, got False",
    ),
    # Devices
    ("train trainer.accelerator=tpu", "trainer.accelerator=tpu ... trainer=cpu runs everywhere"),
    (
        "train trainer.precision=17",
        "Precision 17 is invalid. Allowed precision values: ... 32-true",
    ),
    (
        "train callbacks=minimal +callbacks.clip_images.every_n_epochs=0",
        "callbacks.clip_images was given values, but the chosen callbacks have no clip_images",
    ),
    ("train trainer.strategy=ddpp", "`strategy='ddpp'` ... Example choices: auto, ddp"),
    ("eval ckpt_path=$run trainer.accelerator=cpu trainer.devices=2", "set trainer.devices=1"),
    # Checkpoints
    ("train ckpt_path=$empty", "No checkpoint at $empty/checkpoints/last.ckpt: give the folder"),
    ("train ckpt_path=$text", "$text is no checkpoint ... give one that src/train.py wrote"),
    ("train init_from=$foreign", "$foreign has no recipe to restore its network from"),
    ("train ckpt_path=$run init_from=$run", "init_from starts a new one: give only one"),
    (
        f"train {STORE} ckpt_path=$run model=concat",
        "trained with another model ... resume with the",
    ),
    (f"train {STORE} ckpt_path=$run seed=7", "trained with another seed (0 there, 7 here)"),
    # Remedies
    ("train remedy=distillation", "remedy=distillation needs a teacher: give distill_from"),
    ("train distill_from=$foreign", "$foreign has no recipe to restore its network from"),
    ("train remedy=ema callbacks.ema.decay=2", "callbacks.ema.decay must lie in [0, 1), got 2"),
    ("train data.balance=age", "data.balance must be null, class, subject or ... got age"),
    (
        "train remedy=balanced_sampling loss.weights=balanced",
        "data.balance=class and loss.weights=balanced would balance the classes twice",
    ),
    (
        f"train {STORE} remedy=auxiliary_heads model=face_only",
        "Unimodal heads need a network with an encoder of each modality, which FaceOnly does not",
    ),
    (
        f"train {STORE} remedy=ogm_ge model=face_only",
        "nothing that FaceOnly learns reads the audio alone: choose a network of both",
    ),
    (
        f"train {STORE} remedy=gradient_blending model.unimodal_heads.audio=2",
        "face, audio, both = [1.0, 2.0, 1.0]: leave them at 1",
    ),
    # Stores
    ("train data=store data.store=$old", "in $old has format 1 ... prepare the corpus again"),
    (
        "train data=store data.store=s3://me:secret/of@bucket/store",
        "data.store=s3://***@bucket/store holds credentials or a query, which logs and results",
    ),
    (
        "train data=store data.store=s4://bucket/store",
        "s4://bucket/store begins with s4://, which fsspec does not know: give s3://, gs://, hf://",
    ),
    (
        "train data=store data.store=file://$nowhere/store",
        "No store in file://$nowhere/store. Write it there with: python src/prepare.py",
    ),
    ("train data.store=s3://bucket/store", "data.store=s3://bucket/store is no folder to make st"),
    (f"prepare {ROOT} prepare.stores=s3://bucket", "prepare.stores=s3://bucket is no folder to m"),
    (f"prepare {ROOT} prepare.upload=$empty", "prepare.upload=$empty is no address, such as s3://"),
    ("train data.cache.size_gb=-1", "data.cache.size_gb must be at least 0, got -1"),
    ("train data=store data.store=$broken", "$broken/description.json does not describe a store"),
    (
        "eval ckpt_path=$run split=tset",
        "must be one of ... 'test'), got 'tset' (which is split= of",
    ),
    (
        "eval ckpt_path=$run data=store data.store=$store 'splits={train: 0.9, val: 0.1}'",
        "no test clips ... choose another split",
    ),
    (
        "eval ckpt_path=$run data=store data.store=$other",
        "store in $other holds other features ... prepare",
    ),
    # Modalities
    ("eval ckpt_path=$run modalities=[voice]", "must be some of face, audio, such as [face], got"),
    ("eval ckpt_path=$run modalities=[]", "must be some of face, audio, such as [face], got []"),
    (
        "predict ckpt_path=$listener input=$sound modalities=[face]",
        "Without audio nothing is left of what the network reads, audio: leave modalities at null",
    ),
    # Face maps
    (
        f"train {STORE} model/face_encoder=precomputed",
        "has no stream face_map, ... only frames, mfcc, waveform: ... features.face_maps.run=<run>",
    ),
    (
        "train data.features.face_maps.run=$nowhere",
        "No checkpoint at $nowhere: give the folder of a run",
    ),
    (
        f"prepare {ROOT} features.face_maps.run=$foreign",
        "$foreign has no recipe to restore its network from",
    ),
    (
        f"prepare {ROOT} features/face_maps=timm +features.face_maps.run=$run",
        "a run or an encoder, got both",
    ),
    (
        f"prepare {ROOT} features/face_maps=timm features.face_maps.encoder.pretrained=$nowhere",
        "No weights at $nowhere: features.face_maps.encoder.pretrained must be hub or a",
    ),
    (
        f"prepare {ROOT} features/face_maps=timm features.face_maps.encoder.size=big",
        "features.face_maps.encoder.size must be a whole number or null, got 'big'",
    ),
    (
        f"train {STORE} model.network.audio_encoder.stream=wavlm",
        "has no stream wavlm, ... only frames, mfcc, waveform: let its encoders read one of these",
    ),
    (
        "eval ckpt_path=$seer data=store data.store=$other",
        "has no stream face_map, which the network reads, only frames, mfcc, waveform: let its",
    ),
    (
        "eval ckpt_path=$seer data=store data.store=$remapped",
        "store in $remapped holds other features ... prepare the corpus with those",
    ),
    # Recordings
    ("predict ckpt_path=$run input=$empty", "No recording in $empty"),
    ("predict ckpt_path=$run input=$sound windows.step=0", "positive seconds, got 10.0 and 0"),
    ("predict ckpt_path=$run input=$sound workers=0", "workers must be at least 1, got 0"),
    (
        "predict ckpt_path=$run input=$sound temperature=true",
        "no temperature at $run/checkpoints/temperature.json: fit it with python src/diagnose.py",
    ),
    # Diagnostics
    ("diagnose ckpt_path=$nowhere", "No run in $nowhere: give the folder of a run or of a sweep"),
    ("diagnose ckpt_path=$text", "$text is a file: give the folder of a run or of a sweep"),
    ("diagnose ckpt_path=$begun", "No run in $begun has ended with a test (Not finished: $begun)"),
    ("diagnose ckpt_path=$sweep", "no $sweep/0/predictions.npz: write it with python src/eval.py"),
    ("diagnose ckpt_path=$sweep diagnostics.calibration.bins=0", "bins must be at least 1, got 0"),
    (
        "diagnose ckpt_path=$sweep 'diagnostics.subsets.stand_ins=[silence]'",
        "stand_ins must be some of network, zeros, noise, other, got ['silence']",
    ),
    # Preparation
    ("prepare corpus=manifest corpus.root=$nowhere", "No manifest at $nowhere: set corpus.root"),
    (
        f"prepare {ROOT} features.face.num_frames=0",
        "features.face.num_frames must be at least 1, got",
    ),
    (f"prepare {ROOT} features.face.detector=harr", "features.face.detector must be one of ... 'h"),
    (f"prepare {ROOT} features.audio.duration=0.01", "got 0.01 s: raise features.audio.duration"),
    (
        f"prepare {ROOT} features.policies.missing=ignore",
        "policies.missing must be one of ... 'ign",
    ),
    ("train 'data.splits={train: 0.5, test: 0.1}'", "must be at least 0 and sum to 1, got ... 0.6"),
    ("train 'data.splits={trian: 1}'", "data.splits={trian: 1} is no plan: give column"),
    ("train 'data.splits={folds: 5}'", "needs data.fold, the one to test on: give one, or ... -m"),
    ("train data.fold=1", "data.fold=1 chooses among folds, and data.splits=column has none"),
    (f"prepare {ROOT} corpus.media_root=$nowhere", "corpus.media_root=$nowhere is no folder: set"),
    (f"prepare {ROOT} prepare.limit=-1", "prepare.limit must be at least 1, got -1"),
    (f"prepare {ROOT} prepare.workers=0", "prepare.workers must be at least 1, got 0"),
    (f"prepare {ROOT} prepare.shard=4/3", "prepare.shard must be one of so many ... got 4/3"),
    (f"prepare {ROOT} prepare.shard=2/99", "prepare.shard=2/99 shares out ... clips: use at most"),
    (
        f"prepare {ROOT} prepare/executor=slurm prepare.executor.jobs=0",
        "prepare.executor.jobs must be at least 1, got 0",
    ),
    ("prepare prepare.merge=[$nowhere]", "No folder $nowhere: give prepare.merge the folders"),
    ("prepare prepare.merge=[$recordings]", "$recordings is no share of a store: give the folders"),
    # Comparison
    ("summarize $sweep --metrics test/nope", "none of the 1 runs has any of test/nope yet"),
    (
        "summarize $sweep --maximize test/a --minimize test/a",
        "test/a is given to --maximize and to --minimize: leave one out",
    ),
    ("summarize $sweep --out $nowhere", "--out=$nowhere is no folder: create it first"),
    ("report $empty", "No run in $empty: give the folder of a run or of a sweep"),
    ("report $sweep --out $nowhere", "--out=$nowhere is no folder: create it first"),
]

# Known to be wrong without torch, and so answered before it is loaded.
CHEAP = [
    # Keys
    (
        "train model.network.fusion.dmi=3",
        "There is no model.network.fusion.dmi: did you mean model.network.fusion.dim?",
    ),
    ("train modle=lowrank", "There is no modle: did you mean model?"),
    ("train Model=lowrank", "There is no Model: did you mean model?"),
    (
        "train modle.network.fusion.dim=8",
        "There is no modle.network.fusion.dim: did you mean model.network.fusion.dim?",
    ),
    (
        "train trainer.max_epoch=3",
        "There is no trainer.max_epoch: did you mean trainer.max_epochs?",
    ),
    ("train lr=0.1", "There is no lr: did you mean optimizer.lr?"),
    ("train batch_size=8", "There is no batch_size: did you mean data.batch_size?"),
    ("train trainer.batch_size=8", "There is no trainer.batch_size: did you mean data.batch_size?"),
    ("train epochs=8", "There is no epochs: did you mean trainer.max_epochs?"),
    (
        "train trainer.fast_dev_run=true",
        "There is no trainer.fast_dev_run: an argument of lightning.Trainer that is not listed is "
        "added as +trainer.fast_dev_run=...",
    ),
    ("train xyzzy=8", "There is no xyzzy: train has no similar key. --help lists groups"),
    ("train seed.x=8", "There is no seed.x: ... --help lists groups"),
    (
        "train hydra.launcher.njobs=2",
        "There is no hydra.launcher.njobs: did you mean hydra.launcher.n_jobs?",
    ),
    ("train hydra.rum.dir=x", "There is no hydra.rum.dir: did you mean hydra.run.dir?"),
    ("train ~sede", "There is no sede: did you mean seed?"),
    ("train +sede=3", "Nothing reads sede: did you mean seed?"),
    ("train ++modle=lowrank", "Nothing reads modle: did you mean model?"),
    ("train +seed=3", "seed is there already: leave out the + before it."),
    ("train +model=lowrank", "is chosen twice: leave out the + before what is chosen already."),
    ("train model=3", "There is no model=3: choose one of audio_only"),
    ("eval ckpt_path=$run spilt=val", "There is no spilt: did you mean split?"),
    ("predict ckpt_path=$run inptu=x", "There is no inptu: did you mean input?"),
    ("train logger=null", "logger=null chooses none: write ~logger to log nothing."),
    ("train callbacks=null", "There is no callbacks=null: choose one of"),
    ("train experment=fusions", "There is no experment: did you mean experiment?"),
    ("prepare corpus.rot=x", "There is no corpus.rot: did you mean corpus.root?"),
    # Groups and choices
    (
        "train model=lowrnk",
        "There is no model=lowrnk: did you mean lowrank? Choices: audio_only ... uniform.",
    ),
    ("train model/attention=uniforn", "There is no model/attention=uniforn: did you mean uniform?"),
    ("train model/atention=mlb", "There is no model/atention: did you mean model/attention?"),
    ("train attention=mlb", "There is no attention: did you mean model/attention?"),
    ("train model=xyzzy", "There is no model=xyzzy: choose one of audio_only ... lowrank"),
    (
        "eval ckpt_path=$run model=concat",
        "eval has no choice of model: its groups are callbacks, data, trainer.",
    ),
    ("prepare corpus=ravdes", "There is no corpus=ravdes: did you mean ravdess?"),
    ("train data=ravdess data.fold=0", "data.corpus.root has no value: give it on the command"),
    (
        "prepare corpus=ravdess corpus.root=$nowhere",
        "corpus.root=$nowhere is no folder: name the one that holds RAVDESS",
    ),
    (
        "prepare corpus=ravdess corpus.root=$recordings",
        "corpus.root=$recordings holds no file of RAVDESS, found ... expected Actor_01/01-01-03-01",
    ),
    (
        "prepare corpus=grid corpus.root=$recordings corpus.label=word",
        "corpus.label must be one of talker, command, color, ... got 'word'",
    ),
    ("prepare corpus=manifst", "There is no corpus=manifst: did you mean manifest?"),
    ("train experiment=fusion", "There is no experiment=fusion: did you mean fusions?"),
    # Choices as values, and values as choices
    ("prepare prepare.executor=slurm", "is a choice, not a value: write prepare/executor=slurm."),
    ("prepare prepare.executor=slrm", "There is no prepare/executor=slrm: did you mean slurm?"),
    ("train model.network.attention=mlb", "not a value: write model/attention=mlb."),
    ("train model.attention=mlb", "not a value: write model/attention=mlb."),
    ("train -m model.network.audio_encoder=gru,tcn", "write model/audio_encoder=gru,tcn."),
    ("train data.augmentation=none", "not a value: write data/augmentation=none."),
    ("train data.features=images_only", "write features@data.features=images_only."),
    ("train features.audio_stream=wavlm", "write features/audio_stream@data.features.audio_strea"),
    ("train features/audio_stream=wavlm", "did you mean features/audio_stream@data.features.audi"),
    ("train hydra.launcher=joblib", "not a value: write hydra/launcher=joblib."),
    ("train fusion=concat", "There is no fusion=concat: write model=concat."),
    ("train model.network.fusion=concat", "There is no model.network.fusion=concat: write model=c"),
    ("train corpus=ravdess", "There is no corpus=ravdess: write data=ravdess."),
    ("train trainer.gpu", "trainer.gpu is no key=value: did you mean trainer=gpu?"),
    ("train logger.wandb=true", "There is no logger.wandb: did you mean logger=wandb?"),
    ("train logger=false", "logger=false chooses none: write ~logger to log nothing."),
    ("train callbacks=false", "There is no callbacks=false: choose one of"),
    ("train --config-name trian", "There is no configuration trian: did you mean train?"),
    # Sweeps
    ("train -m model=lowrank,concatt", "There is no model=concatt: did you mean concat?"),
    ("train -m seed=1,2 modle=3", "There is no modle: did you mean model?"),
    ("train -m seed=1,2 +modle=3", "Nothing reads modle: did you mean model?"),
    ("train -m seed=1,2 trainer.max_epoch=1,2", "did you mean trainer.max_epochs?"),
    ("train -m seed=1,2 data=cocktail_party,store", "data.store has no value"),
    ("train -m sweep=optuna modle=3", "There is no modle: did you mean model?"),
    ("train -m seed=1,2 hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs must be at least 1, got"),
    ("train seed=1,2", "seed=1,2 gives several values: add -m"),
    ("train seed=1 -m model=concat", "model=concat stands behind a flag ... -m model=concat"),
    # What cannot be read
    ("train model lowrank", "model is no key=value: write an equals sign"),
    ("train model.lr_scale={face:0.5}", "model.lr_scale has no face: add it with +model"),
    ("train model.lr_scale={fusion:", "The value of model.lr_scale cannot be read: {fusion:."),
    ("train ckpt_path=a=b", "The value of ckpt_path cannot be read ... 'ckpt_path=\"a=b\"'"),
    # Flags
    ("train --hlep", "There is no flag --hlep: did you mean --help?"),
    ("train --multrun seed=1,2", "There is no flag --multrun: did you mean --multirun?"),
    ("train --model=concat", "There is no flag --model: values are given without dashes"),
    ("train --seed 3", "There is no flag --seed: values are given without dashes, as in seed="),
    ("train --cfg jobb", "argument --cfg/-c: invalid choice: 'jobb'"),
    # Missing values
    ("train data=store", "data.store has no value: give it on the command line"),
    ("eval", "ckpt_path has no value: give it on the command line, as in ckpt_path=..."),
    ("predict input=x", "ckpt_path has no value: give it on the command line"),
    ("diagnose", "ckpt_path has no value: give it on the command line, as in ckpt_path=..."),
    ("diagnose ckpt_path=x diagnostics=fulll", "no diagnostics=fulll: did you mean full?"),
    ("prepare corpus=manifest", "corpus.root has no value: give it on the command line"),
    # Others
    ("predict ckpt_path=x figure_format=gif", "figure_format must be one of png, svg, pdf, got"),
    ("report $sweep --examples -1", "--examples must be at least 0, got -1"),
    ("summarize $empty", "No run in $empty: give the folder of a run or of a sweep"),
]

# Refused by Python's parser of arguments, in its own words.
THEIRS = [
    ("summarize", "the following arguments are required: paths"),
    ("report", "the following arguments are required: runs"),
    ("report $sweep --figures gif", "invalid choice: 'gif' (choose from"),
]

# Ended by this project, too; these are tried as people type them, in a process each.
TYPED = [
    ("train data.batch_size=many", "data.batch_size must be a whole number, got 'many'"),
    ("train optimizer.lr=fast", "optimizer.lr must be a number, got 'fast'"),
    ("train model.network.attention.glimpses=0", "glimpses must be at least 1, got 0"),
    ("train monitor=val/acuracy", "monitor=val/acuracy is no metric ... choose ... accuracy"),
    ("train trainer.accelerator=cpu trainer.devices=9999", "trainer.devices=9999 is more than the"),
    ("train ckpt_path=$nowhere", "No checkpoint at $nowhere: give the folder of a run"),
    (f"train {STORE} data.batch_size=25", "data.batch_size=25 is more than the 24 training clips"),
    ("eval", "ckpt_path has no value: give it on the command line, as in ckpt_path=..."),
    ("predict ckpt_path=$run input=$nowhere", "No recording at $nowhere: give a file, a folder or"),
    ("prepare prepare.merge=[a] prepare.shard=1/2", "prepare.shard makes one: give only one"),
    (f"prepare {ROOT} +corpus.columns.subjekt=who", "corpus.columns has no subjekt ... subject"),
    ("summarize $empty", "No run in $empty: give the folder of a run or of a sweep"),
]
