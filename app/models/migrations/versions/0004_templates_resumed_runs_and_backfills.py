"""Templates, resumed runs and backfills"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('backfill',
    sa.Column('id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('playground_id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('from_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.Column('until_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.Column('cron', sa.String(length=200), nullable=False),
    sa.Column('timezone', sa.String(length=64), nullable=False),
    sa.Column('max_concurrent_runs', sa.Integer(), nullable=False),
    sa.Column('rerun', sa.Boolean(), nullable=False),
    sa.Column('fire_count', sa.Integer(), nullable=False),
    sa.Column('left_out_count', sa.Integer(), nullable=False),
    sa.Column('cancel_requested', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.Column('ended_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=True),
    sa.ForeignKeyConstraint(['playground_id'], ['playground.id'], name=op.f('fk_backfill_playground_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('backfill', schema=None) as batch_op:
        batch_op.create_index('ix_backfill_playground_id_id', ['playground_id', 'id'], unique=False)
        batch_op.create_index('ix_backfill_status', ['status'], unique=False)

    op.create_table('backfill_fire',
    sa.Column('backfill_id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('fire_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.ForeignKeyConstraint(['backfill_id'], ['backfill.id'], name=op.f('fk_backfill_fire_backfill_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('backfill_id', 'fire_at'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('playground', schema=None) as batch_op:
        batch_op.add_column(sa.Column('parameters', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('active_backfill_id', sa.Uuid(native_uuid=False), nullable=True))

    with op.batch_alter_table('run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('series', sa.String(length=32), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('moment', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=True))
        batch_op.add_column(sa.Column('parameters', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('overrides', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('backfill_id', sa.Uuid(native_uuid=False), nullable=True))
        batch_op.drop_constraint(batch_op.f('uq_run_playground_id_scheduled_for'), type_='unique')
        batch_op.create_index('ix_run_backfill_id_status', ['backfill_id', 'status'], unique=False)
        batch_op.create_unique_constraint(batch_op.f('uq_run_playground_id_scheduled_for_series'), ['playground_id', 'scheduled_for', 'series'])

    with op.batch_alter_table('run', schema=None) as batch_op:  # the default was for the rows that were there
        batch_op.alter_column('series', existing_type=sa.String(length=32), existing_nullable=False, server_default=None)

    with op.batch_alter_table('task_attempt', schema=None) as batch_op:
        batch_op.add_column(sa.Column('error_retriable', sa.Boolean(), nullable=True))

    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('rendered_query', sa.Text().with_variant(mysql.LONGTEXT(), 'mariadb').with_variant(mysql.LONGTEXT(), 'mysql'), nullable=True))
        batch_op.add_column(sa.Column('output_of_id', sa.Uuid(native_uuid=False), nullable=True))
        batch_op.create_index('ix_task_run_output_of_id', ['output_of_id'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.drop_index('ix_task_run_output_of_id')
        batch_op.drop_column('output_of_id')
        batch_op.drop_column('rendered_query')

    with op.batch_alter_table('task_attempt', schema=None) as batch_op:
        batch_op.drop_column('error_retriable')

    op.execute("UPDATE run SET scheduled_for = NULL WHERE series <> ''")  # of one fire time there were several runs
    with op.batch_alter_table('run', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_run_playground_id_scheduled_for_series'), type_='unique')
        batch_op.drop_index('ix_run_backfill_id_status')
        batch_op.create_unique_constraint(batch_op.f('uq_run_playground_id_scheduled_for'), ['playground_id', 'scheduled_for'])
        batch_op.drop_column('backfill_id')
        batch_op.drop_column('overrides')
        batch_op.drop_column('parameters')
        batch_op.drop_column('moment')
        batch_op.drop_column('series')

    with op.batch_alter_table('playground', schema=None) as batch_op:
        batch_op.drop_column('active_backfill_id')
        batch_op.drop_column('parameters')

    op.drop_table('backfill_fire')
    op.drop_table('backfill')
