"""User-defined functions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('jar',
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('location', sa.String(length=700), nullable=False),
    sa.Column('stored', sa.Boolean(), nullable=False),
    sa.Column('touched_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.PrimaryKeyConstraint('sha256'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('jar', schema=None) as batch_op:
        batch_op.create_index('ix_jar_touched_at', ['touched_at'], unique=False)

    op.create_table('udf',
    sa.Column('id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('owner_id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text().with_variant(mysql.LONGTEXT(), 'mariadb').with_variant(mysql.LONGTEXT(), 'mysql'), nullable=False),
    sa.Column('function_name', sa.String(length=128), nullable=False),
    sa.Column('function_key', sa.String(length=128), nullable=False),
    sa.Column('class_name', sa.String(length=500), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('parameter_types', sa.JSON(), nullable=False),
    sa.Column('return_type', sa.String(length=1000), nullable=True),
    sa.Column('jar_sha256', sa.String(length=64), nullable=False),
    sa.Column('jar_size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.Column('modified_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.ForeignKeyConstraint(['jar_sha256'], ['jar.sha256'], name=op.f('fk_udf_jar_sha256')),
    sa.ForeignKeyConstraint(['owner_id'], ['user.id'], name=op.f('fk_udf_owner_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('owner_id', 'function_key', name=op.f('uq_udf_owner_id_function_key')),
    sa.UniqueConstraint('owner_id', 'name', name=op.f('uq_udf_owner_id_name')),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('udf', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_udf_jar_sha256'), ['jar_sha256'], unique=False)
        batch_op.create_index('ix_udf_owner_id_id', ['owner_id', 'id'], unique=False)

    op.create_table('task_udf',
    sa.Column('task_id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('udf_id', sa.Uuid(native_uuid=False), nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['task.id'], name=op.f('fk_task_udf_task_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['udf_id'], ['udf.id'], name=op.f('fk_task_udf_udf_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_id', 'udf_id'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('task_udf', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_task_udf_udf_id'), ['udf_id'], unique=False)

    op.create_table('task_run_jar',
    sa.Column('task_run_id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('jar_sha256', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['jar_sha256'], ['jar.sha256'], name=op.f('fk_task_run_jar_jar_sha256')),
    sa.ForeignKeyConstraint(['task_run_id'], ['task_run.id'], name=op.f('fk_task_run_jar_task_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_run_id', 'jar_sha256'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('task_run_jar', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_task_run_jar_jar_sha256'), ['jar_sha256'], unique=False)

    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('udfs', sa.JSON(none_as_null=True), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.drop_column('udfs')

    op.drop_table('task_run_jar')
    op.drop_table('task_udf')
    op.drop_table('udf')
    op.drop_table('jar')
